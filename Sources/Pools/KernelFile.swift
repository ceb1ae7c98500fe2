import Glibc

/// Up to 64 KiB of a file of the kernel's; nil when it cannot be read.
func contents(of path: String) -> String? {
    let fd = open(path, O_RDONLY | O_CLOEXEC)
    guard fd >= 0 else { return nil }
    defer { close(fd) }
    return withUnsafeTemporaryAllocation(byteCount: 64 << 10, alignment: 1) { buffer in
        var filled = 0
        while filled < buffer.count {
            let count = read(fd, buffer.baseAddress.map { $0 + filled }, buffer.count - filled)
            if count < 0 { return nil }
            if count == 0 { break }
            filled += count
        }
        return String(decoding: buffer[..<filled], as: UTF8.self)
    }
}
