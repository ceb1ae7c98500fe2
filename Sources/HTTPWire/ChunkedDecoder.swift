/// Takes the chunked coding off a body (RFC 9112, section 7.1).
package struct ChunkedDecoder: Sendable {
    private enum State {
        case size
        case data(Int)
        case dataEnd
        case trailer
        case done
    }

    private var state = State.size
    private var total = 0
    private var trailerBytes = 0
    private let limit: Int

    /// - Parameter limit: of the decoded body, in bytes.
    package init(limit: Int) { self.limit = limit }

    package var isDone: Bool {
        if case .done = state { true } else { false }
    }

    /// Decodes what it can from the start of `bytes`, removes that, and appends the data to `body`.
    package mutating func decode(
        _ bytes: inout [UInt8], into body: inout [UInt8],
    ) throws(HTTPRefusal) {
        var position = 0
        defer { bytes.removeSubrange(..<position) }
        while true {
            switch state {
            case .size:
                guard let line = try line(bytes, &position, limit: 256) else { return }
                let size = try Self.size(line)
                total += size
                guard total <= limit else {
                    throw HTTPRefusal(413, "The body is over \(limit) bytes.")
                }
                state = size == 0 ? .trailer : .data(size)
            case .data(let left):
                let count = min(left, bytes.count - position)
                body += bytes[position..<position + count]
                position += count
                guard count == left else {
                    state = .data(left - count)
                    return
                }
                state = .dataEnd
            case .dataEnd:
                guard let line = try line(bytes, &position, limit: 2) else { return }
                guard line.isEmpty else {
                    throw HTTPRefusal(400, "A chunk is longer than it says.")
                }
                state = .size
            case .trailer:
                guard let line = try line(bytes, &position, limit: 8 << 10) else { return }
                trailerBytes += line.count
                guard trailerBytes <= 8 << 10 else {
                    throw HTTPRefusal(431, "The trailer is too long.")
                }
                if line.isEmpty { state = .done }
            case .done: return
            }
        }
    }

    private func line(
        _ bytes: [UInt8], _ position: inout Int, limit: Int,
    ) throws(HTTPRefusal) -> ArraySlice<UInt8>? {
        guard let end = bytes[position...].firstIndex(of: UInt8(ascii: "\n")) else {
            guard bytes.count - position <= limit else {
                throw HTTPRefusal(400, "The chunked coding is malformed.")
            }
            return nil
        }
        guard end > position, bytes[end - 1] == UInt8(ascii: "\r"), end - position <= limit + 1
        else {
            throw HTTPRefusal(400, "The chunked coding is malformed.")
        }
        defer { position = end + 1 }
        return bytes[position..<end - 1]
    }

    private static func size(_ line: ArraySlice<UInt8>) throws(HTTPRefusal) -> Int {
        let digits = line.prefix { $0 != UInt8(ascii: ";") }
        guard (1...15).contains(digits.count),
            digits.allSatisfy({
                ($0 | 0x20) >= 0x61 && ($0 | 0x20) <= 0x66 || (48...57).contains($0)
            }),
            line.allSatisfy({ $0 >= 0x20 && $0 != 0x7f || $0 == 0x09 }),
            let size = Int(String(decoding: digits, as: UTF8.self), radix: 16)
        else { throw HTTPRefusal(400, "A chunk's size is malformed.") }
        return size
    }
}
