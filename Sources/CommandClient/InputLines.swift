import Glibc
import RawJSON

/// The lines of a file or of stdin, as they come.
struct InputLines: Sendable {
    private let descriptor: Int32
    private let path: String
    /// What has been read and not handed out.
    private var rest: [UInt8] = []
    /// Where the last whole line of the rest ends.
    private var linesEnd = 0
    private var isOver = false
    private var count = 0

    /// Bytes of a line, as the server has it.
    private static let longestLine = 16 << 20
    private static let readBytes = 64 << 10
    /// Milliseconds after which silence is told.
    private static let patience: Int32 = 200

    /// Opens a file, which stays open to the command's end; `-` is stdin.
    init(_ path: String) throws(ClientFailure) {
        self.path = path
        descriptor = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw InputFile.unreadable(path) }
    }

    /// A line without its end, and its number, from 1.
    struct Line {
        let number: Int
        let bytes: ArraySlice<UInt8>

        var isBlank: Bool { bytes.allSatisfy(InputLines.isBlank) }
    }

    enum News {
        /// Those that have come, empty ones left out.
        case lines([Line])
        /// Nothing came for a moment.
        case silence
        case end
    }

    /// Waits a moment for what comes next.
    mutating func next() throws(ClientFailure) -> News {
        if linesEnd == 0, !isOver {
            guard try isReadable() else { return .silence }
            try fill()
        }
        if isOver {
            guard !rest.isEmpty else { return .end }
            linesEnd = rest.count
        }
        guard linesEnd > 0 else {
            guard rest.count <= Self.longestLine else {
                throw ClientFailure(
                    .refused, "line \(count + 1) is over \(Self.longestLine) bytes")
            }
            return .lines([])
        }
        defer {
            rest.removeSubrange(..<linesEnd)
            linesEnd = 0
        }
        return .lines(lines(rest[..<linesEnd]))
    }

    /// All that is left.
    mutating func all() throws(ClientFailure) -> [UInt8] {
        while !isOver { try fill() }
        defer { rest = [] }
        return rest
    }

    /// All that is left if it looks like one array, else nil.
    ///
    /// It begins with a bracket then, and its first line is not whole or the only one: of lines that
    /// are arrays the second is waited for.
    mutating func allIfArray() throws(ClientFailure) -> [UInt8]? {
        while true {
            if let start = rest.firstIndex(where: { !Self.isBlank($0) }) {
                guard rest[start] == UInt8(ascii: "[") else { return nil }
                if let end = rest[start...].firstIndex(of: Self.newline) {
                    let isWhole = (try? RawJSON(validating: rest[start..<end])) != nil
                    if !isWhole { return try all() }
                    if !rest[end...].allSatisfy(Self.isBlank) { return nil }
                } else if rest.count > Self.longestLine {
                    return try all()
                }
            }
            if isOver { return try all() }
            try fill()
        }
    }

    private static let newline = UInt8(ascii: "\n")

    static func isBlank(_ byte: UInt8) -> Bool {
        byte == 0x20 || byte == 0x09 || byte == 0x0d || byte == newline
    }

    private mutating func lines(_ bytes: ArraySlice<UInt8>) -> [Line] {
        let found = Self.split(bytes, after: count)
        count += bytes.count { $0 == Self.newline }
        return found
    }

    /// The lines that are not empty, numbered from after `count` on.
    static func split(_ bytes: ArraySlice<UInt8>, after count: Int = 0) -> [Line] {
        let lines = bytes.split(separator: newline, omittingEmptySubsequences: false)
        return lines.enumerated().compactMap { index, line in
            let line = line.last == 0x0d ? line.dropLast() : line
            return line.isEmpty ? nil : Line(number: count + index + 1, bytes: line)
        }
    }

    private func isReadable() throws(ClientFailure) -> Bool {
        var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        let ready = poll(&wanted, 1, Self.patience)
        if ready < 0, errno != EINTR { throw InputFile.unreadable(path) }
        return ready > 0
    }

    private mutating func fill() throws(ClientFailure) {
        let before = rest.count
        var length = 0
        let fresh = [UInt8](unsafeUninitializedCapacity: Self.readBytes) { buffer, count in
            repeat {
                length = read(descriptor, buffer.baseAddress, buffer.count)
            } while length < 0 && errno == EINTR
            count = max(0, length)
        }
        guard length >= 0 else { throw InputFile.unreadable(path) }
        isOver = length == 0
        rest += fresh
        if let end = fresh.lastIndex(of: Self.newline) { linesEnd = before + end + 1 }
    }
}
