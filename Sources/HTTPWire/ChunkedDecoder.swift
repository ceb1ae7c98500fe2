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
                try begin(chunk: try Self.size(line.span))
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
                guard try readLine(bytes, &position, limit: HTTPLimits.trailerBytes) else { break }
                try endTrailerLine()
            case .done: return position
            }
        }
        return position
    }

    /// Moves bytes to `line` up to a CRLF; false when it has not come yet.
    private mutating func readLine(
        _ bytes: Span<UInt8>, _ position: inout Int, limit: Int,
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
                throw limit == HTTPLimits.trailerBytes
                    ? HTTPRefusal(431, "The trailer is too long.") : Self.malformed
            }
        }
        return false
    }

    private mutating func begin(chunk size: Int) throws(HTTPRefusal) {
        guard size <= limit - total else {
            throw HTTPRefusal(413, "The body is over \(limit) bytes.")
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
            throw HTTPRefusal(431, "The trailer is too long.")
        }
        let span = line.span
        var colon = 0
        while colon < span.count, span[colon].isToken { colon += 1 }
        guard colon > 0, colon < span.count, span[colon] == UInt8(ascii: ":") else {
            throw HTTPRefusal(400, "A trailer field is malformed.")
        }
        for index in colon..<span.count where !span[index].isFieldContent {
            throw HTTPRefusal(400, "A trailer field is malformed.")
        }
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
        try checkExtensions(line, from: index)
        return size
    }

    // 7.1.1: *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] ).
    private static func checkExtensions(
        _ line: Span<UInt8>, from start: Int,
    ) throws(HTTPRefusal) {
        var index = start
        func skipBlanks() { while index < line.count, line[index].isBlank { index += 1 } }
        func skipToken() -> Bool {
            let first = index
            while index < line.count, line[index].isToken { index += 1 }
            return index > first
        }
        func skipQuoted() -> Bool {
            index += 1
            while index < line.count, line[index] != UInt8(ascii: "\"") {
                // RFC 9110, section 5.6.4: what is escaped is no control character either.
                if line[index] == UInt8(ascii: "\\") { index += 1 }
                guard index < line.count, line[index].isFieldContent else { return false }
                index += 1
            }
            index += 1
            return index <= line.count
        }
        while index < line.count {
            skipBlanks()
            guard index < line.count, line[index] == UInt8(ascii: ";") else { throw malformed }
            index += 1
            skipBlanks()
            guard skipToken() else { throw malformed }
            let end = index
            skipBlanks()
            guard index < line.count, line[index] == UInt8(ascii: "=") else {
                index = end
                continue
            }
            index += 1
            skipBlanks()
            let isQuoted = index < line.count && line[index] == UInt8(ascii: "\"")
            guard isQuoted ? skipQuoted() : skipToken() else { throw malformed }
        }
    }

    private static let malformed = HTTPRefusal(400, "The chunked coding is malformed.")
}
