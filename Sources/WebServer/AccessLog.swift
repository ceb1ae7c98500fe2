import Glibc
import Synchronization

/// Writes a line a response to a file or to the standard error.
package final class AccessLog: Sendable {
    private let descriptor: Int32
    private let waiting = Mutex<[UInt8]>([])

    /// - Parameter path: of the file that lines are appended to; `-` for the standard error.
    package init?(path: String) {
        descriptor =
            path == "-"
            ? dup(2) : Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { return nil }
    }

    deinit {
        flush()
        close(descriptor)
    }

    /// Adds a line; it is written with others, half a second later at most.
    func write(_ line: [UInt8]) {
        let isMuch = waiting.withLock { bytes in
            bytes += line
            return bytes.count > 32 << 10
        }
        if isMuch { flush() }
    }

    package func flush() {
        waiting.withLock { bytes in
            guard !bytes.isEmpty else { return }
            // A full disk loses lines of the log; requests go on.
            _ = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            bytes.removeAll(keepingCapacity: bytes.count < 64 << 10)
        }
    }
}
