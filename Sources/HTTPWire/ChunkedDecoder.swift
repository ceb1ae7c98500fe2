/// Takes the chunked coding off a body (RFC 9112, section 7.1), byte by byte if it comes so.
package struct ChunkedDecoder: Sendable {
    private enum State {
        case size
        case data(Int)
        case dataEnd
        case trailer
        case done
    }

    private var state = State.size
    /// The line that has not ended yet: a size or a trailer field.
    private var line: [UInt8] = []
    private var lineIsOver = false
    private var total = 0
    /// Octets of chunks' lines beyond what chunks of some size need.
    private var excess = 0
    private var trailerBytes = 0
    private let limit: Int

    /// - Parameter limit: of the decoded body, in bytes.
    package init(limit: Int) { self.limit = limit }

    package var isDone: Bool {
        if case .done = state { true } else { false }
    }

    /// Decodes from the start of `bytes` and appends the data to `body`.
    ///
    /// - Returns: how many bytes belong to the body: all of them until it is done.
    package mutating func decode(
        _ bytes: Span<UInt8>, into body: inout [UInt8],
    ) throws(HTTPRefusal) -> Int {
        var position = 0
        while position < bytes.count {
            switch state {
            case .size:
                guard try readLine(bytes, &position, limit: HTTPLimits.chunkLineBytes) else {
                    break
                }
                let size = try Self.size(line.span)
                try weigh(line.count + 4, chunk: size)
                try begin(chunk: size)
            case .data(let left):
                let count = min(left, bytes.count - position)
                bytes.extracting(position..<position + count).withUnsafeBufferPointer {
                    body.append(contentsOf: $0)
                }
                position += count
                state = count == left ? .dataEnd : .data(left - count)
            case .dataEnd:
                guard try readLine(bytes, &position, limit: 0) else { break }
                state = .size
            case .trailer:
                guard
                    try readLine(
                        bytes, &position, limit: HTTPLimits.trailerBytes, tooLong: Self.longTrailer)
                else { break }
                try endTrailerLine()
            case .done: return position
            }
        }
        return position
    }

    /// Moves bytes to `line` up to a CRLF; false when it has not come yet.
    private mutating func readLine(
        _ bytes: Span<UInt8>, _ position: inout Int, limit: Int,
        tooLong: HTTPRefusal = Self.malformed,
    ) throws(HTTPRefusal) -> Bool {
        if lineIsOver {
            line.removeAll(keepingCapacity: true)
            lineIsOver = false
        }
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            if byte == UInt8(ascii: "\n") {
                // Section 2.2: a bare LF ends no line.
                guard line.popLast() == UInt8(ascii: "\r") else { throw Self.malformed }
                lineIsOver = true
                return true
            }
            line.append(byte)
            guard line.count <= limit + 1, line.count <= limit || byte == UInt8(ascii: "\r") else {
                throw tooLong
            }
        }
        return false
    }

    /// Refuses a body that is hardly more than the lines around it: it costs much and brings nothing
    /// (section 7.1.1 asks for such a limit of extensions).
    private mutating func weigh(_ lineBytes: Int, chunk size: Int) throws(HTTPRefusal) {
        // A client that sends what it has, a few octets at a time, is none of those.
        excess = max(0, excess + lineBytes - 16 - min(size, HTTPLimits.chunkExcessBytes) * 2)
        guard excess <= HTTPLimits.chunkExcessBytes else { throw Self.malformed }
    }

    private mutating func begin(chunk size: Int) throws(HTTPRefusal) {
        guard size <= limit - total else {
            throw HTTPRefusal.bodyTooLarge(limit)
        }
        total += size
        state = size == 0 ? .trailer : .data(size)
    }

    // 7.1.2: fields that nobody here wants and that are dropped, those that frame before all (RFC
    // 9110, section 6.5.1); still they must be fields.
    private mutating func endTrailerLine() throws(HTTPRefusal) {
        guard !line.isEmpty else { return state = .done }
        trailerBytes += line.count
        guard trailerBytes <= HTTPLimits.trailerBytes else {
            throw Self.longTrailer
        }
        guard let colon = line.span.colonOfField,
            line.span.endOfContent(from: colon) == line.count
        else { throw HTTPRefusal(400, "A trailer field is malformed.") }
    }

    // 7.1: 1*HEXDIG, then extensions.
    private static func size(_ line: Span<UInt8>) throws(HTTPRefusal) -> Int {
        var size = 0
        var index = 0
        while index < line.count, let digit = line[index].hexValue {
            // Fifteen digits cannot overflow.
            guard index < 15 else { throw malformed }
            size = size << 4 | digit
            index += 1
        }
        guard index > 0 else { throw malformed }
        guard ChunkExtensions.areValid(line.extracting(index...)) else { throw malformed }
        return size
    }

    private static let malformed = HTTPRefusal(400, "The chunked coding is malformed.")

    // RFC 6585, section 5.
    private static let longTrailer = HTTPRefusal(431, "The trailer is too long.")
}
