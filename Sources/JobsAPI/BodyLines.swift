import RawJSON
import WebServer

/// The lines of a body that comes in pieces (NDJSON); those with nothing but blanks are left out.
struct BodyLines {
    private let body: HTTPBodyStream
    /// The beginning of a line whose end has not come.
    private var rest: [UInt8] = []
    private var isOver = false
    /// Lines so far, empty ones included.
    private(set) var count = 0

    /// Bytes of a line.
    static let limitBytes = 16 << 20

    init(_ body: HTTPBodyStream) { self.body = body }

    /// The lines that came next, at least one; nil at the end.
    ///
    /// - Throws: what the body throws, and a problem when a line is too long.
    mutating func next() async throws -> [Line]? {
        while !isOver {
            var lines: [Line] = []
            if let piece = try await body.next() {
                guard let end = piece.lastIndex(of: UInt8(ascii: "\n")) else {
                    rest += piece
                    try checkRest()
                    await body.holds(rest.count)
                    continue
                }
                let whole = rest + piece[..<end]
                rest = Array(piece[(end + 1)...])
                lines = split(whole)
            } else {
                isOver = true
                lines = split(rest)
                rest = []
            }
            try checkRest()
            await body.holds(rest.count)
            if !lines.isEmpty { return lines }
        }
        return nil
    }

    /// A line and its number, from 1.
    struct Line {
        let number: Int
        let bytes: ArraySlice<UInt8>
    }

    private mutating func split(_ bytes: [UInt8]) -> [Line] {
        var lines: [Line] = []
        for line in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            count += 1
            if line.contains(where: { $0 > UInt8(ascii: " ") }) {
                lines.append(Line(number: count, bytes: line))
            }
        }
        return lines
    }

    private func checkRest() throws {
        guard rest.count > Self.limitBytes else { return }
        throw Problem(
            413, "line-too-long", "A line is too long",
            "Line \(count + 1) is over \(Self.limitBytes) bytes.")
    }
}
