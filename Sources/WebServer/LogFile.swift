import Glibc
import Sockets

/// A file that lines are appended to.
final class LogFile: @unchecked Sendable {
    // Unchecked: after its `init` it is used on one thread alone, that of its `AccessLog`.
    private let path: String
    private var descriptor: Int32
    /// Whether the file ends within a line, the rest of which it did not take.
    private var isCut = false

    private static let newline = UInt8(ascii: "\n")

    /// - Parameter path: made if it is not there; `-` for the standard error.
    /// - Throws: `SocketError.system` when it cannot be opened.
    init(path: String) throws(SocketError) {
        self.path = path
        descriptor = try Self.open(path)
    }

    deinit { close(descriptor) }

    private static func open(_ path: String) throws(SocketError) -> Int32 {
        let descriptor =
            path == "-"
            ? fcntl(2, F_DUPFD_CLOEXEC, 3)
            : Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { throw .system("open \(path)", errno) }
        return descriptor
    }

    /// Goes on in the file that the path names now.
    ///
    /// - Throws: `SocketError.system` when it cannot be opened; then the old one stays in use.
    func reopen() throws(SocketError) {
        let new = try Self.open(path)
        close(descriptor)
        descriptor = new
        isCut = false
    }

    /// Appends whole lines; waits as long as the file makes it wait.
    ///
    /// - Returns: how many lines were lost, since the file does not take them: the disk is full, say.
    func append(_ lines: [UInt8]) -> Int {
        // What follows is to be a line of its own.
        if isCut, write([Self.newline]) == 1 { isCut = false }
        let written = write(lines)
        guard written < lines.count else { return 0 }
        if written > 0 { isCut = lines[written - 1] != Self.newline }
        return lines[written...].count { $0 == Self.newline }
    }

    /// How many bytes the file has taken.
    private func write(_ bytes: [UInt8]) -> Int {
        bytes.withUnsafeBytes { bytes in
            var written = 0
            while written < bytes.count {
                let rest = UnsafeRawBufferPointer(rebasing: bytes[written...])
                let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
                if count > 0 {
                    written += count
                } else if count < 0, errno == EAGAIN {
                    // Who shares the standard error may have asked that nobody waits for it.
                    var watched = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    poll(&watched, 1, -1)
                } else if count == 0 || errno != EINTR {
                    break
                }
            }
            return written
        }
    }
}
