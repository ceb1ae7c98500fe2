import Glibc

/// What a command is given to read.
enum InputFile {
    /// Reads a file whole; `-` is stdin.
    static func read(_ path: String) throws(ClientFailure) -> [UInt8] {
        let fd = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { throw unreadable(path) }
        defer { if path != "-" { close(fd) } }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = Glibc.read(fd, &chunk, chunk.count)
            if count == 0 { return bytes }
            if count < 0 {
                if errno == EINTR { continue }
                throw unreadable(path)
            }
            bytes += chunk[..<count]
        }
    }

    static func unreadable(_ path: String) -> ClientFailure {
        ClientFailure(.refused, "cannot read \(path): \(String(cString: strerror(errno)))")
    }
}
