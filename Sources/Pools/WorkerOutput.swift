import CLinux
import Glibc
import Jobs
import Sockets

/// One of a worker's standard streams: what comes past its language, of C libraries and of
/// programs that a function has started.
///
/// Lines go to the log of the job that the worker runs; those that belong to none go to the
/// server's own standard error. Everything here happens on the thread of `loop`.
final class WorkerOutput: EventHandler {
    private let fd: Int32
    private let stream: LogLine.Stream
    private let loop: EventLoop
    /// As much as is taken at once, so that who writes without end does not hold the loop.
    private let scratch = UnsafeMutableRawBufferPointer.allocate(
        byteCount: 64 << 10, alignment: 16)
    private var rest: [UInt8] = []
    private var isOpen = true
    /// Whose words they are now.
    var source: () -> CallSource? = { nil }

    /// Takes over the reading end of a pipe.
    init(_ fd: Int32, _ stream: LogLine.Stream, loop: EventLoop) throws(SocketError) {
        self.fd = fd
        self.stream = stream
        self.loop = loop
        _ = fcntl(fd, F_SETFL, O_NONBLOCK)
        try loop.watch(fd, EPOLLIN.rawValue, handler: self)
    }

    deinit { scratch.deallocate() }

    func ready(_ events: UInt32) { read() }

    /// Takes what is there, before it is said of another call.
    func drain() {
        var rounds = 0
        while rounds < 16, read() { rounds += 1 }
        if !rest.isEmpty { tell([rest]) }
        rest = []
    }

    /// - Returns: whether there may be more.
    @discardableResult
    private func read() -> Bool {
        guard isOpen else { return false }
        let count = Glibc.read(fd, scratch.baseAddress, scratch.count)
        if count < 0, errno == EAGAIN || errno == EINTR { return false }
        guard count > 0 else {
            close()
            return false
        }
        rest += scratch[..<count]
        tellLines()
        return count == scratch.count
    }

    private func tellLines() {
        var lines = rest.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        let last = lines.removeLast()
        // A line without end is cut where a line is.
        if last.count > LogLine.limitBytes {
            lines.append(last)
            rest = []
        } else {
            rest = Array(last)
        }
        if !lines.isEmpty { tell(lines.map(Array.init)) }
    }

    private func tell(_ lines: [[UInt8]]) {
        if let source = source() {
            let told = lines.map { LogLine(stream, String(decoding: $0, as: UTF8.self)) }
            source.reporter.log(told, of: source.job)
        } else {
            let bytes = lines.flatMap { $0 + [UInt8(ascii: "\n")] }
            // Nobody could be told that the server's own words cannot be written.
            _ = bytes.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
        }
    }

    /// The worker is gone; what it has left in the pipe is taken first.
    func close() {
        guard isOpen else { return }
        isOpen = false
        if !rest.isEmpty { tell([rest]) }
        rest = []
        loop.unwatch(fd)
        Glibc.close(fd)
    }
}
