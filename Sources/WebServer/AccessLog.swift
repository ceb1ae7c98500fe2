package import Sockets
import Synchronization
import Threads

/// Writes a line a response to a file or to the standard error, on a thread of its own.
///
///     loops ──► buffer, of bounded size ──► `access-log` ──► LogFile
///
/// Whatever the file does, be it a pipe that nobody reads or a disk that hangs, no request waits for
/// it: lines that find no room in the buffer are dropped and counted.
package final class AccessLog: Sendable {
    private let file: LogFile
    private let writer = ThreadExecutor(name: "access-log", threads: 1)
    private let waiting = Mutex(Waiting())
    private let lost = Atomic(0)

    private struct Waiting {
        var lines: [UInt8] = []
        /// Whether the writer will look for lines by itself.
        var isWriting = false
    }

    /// Bytes of lines that may wait for the file; as many again are being written.
    static let room = 1 << 20
    /// Bytes from which on they do not wait for others.
    private static let batch = 32 << 10

    /// - Parameter path: of the file that lines are appended to; `-` for the standard error.
    /// - Throws: `SocketError.system` when it cannot be opened.
    package init(path: String) throws(SocketError) {
        file = try LogFile(path: path)
    }

    deinit { writer.stop() }

    /// Lines that were lost: for want of room, or since the file did not take them.
    package var dropped: Int { lost.load(ordering: .relaxed) }

    /// Adds a line; it is written with others, half a second later at most.
    func write(_ line: [UInt8]) {
        let count: Int? = waiting.withLock { waiting in
            guard waiting.lines.count + line.count <= Self.room else { return nil }
            waiting.lines += line
            return waiting.isWriting ? 0 : waiting.lines.count
        }
        guard let count else {
            lost.wrappingAdd(1, ordering: .relaxed)
            return
        }
        if count > Self.batch { flush() }
    }

    /// Has what waits be written, without waiting for it.
    func flush() {
        let begins = waiting.withLock { waiting in
            guard !waiting.isWriting, !waiting.lines.isEmpty else { return false }
            waiting.isWriting = true
            return true
        }
        if begins { writer.execute { self.drain() } }
    }

    /// Opens the file anew, for one that has been moved away: lines that wait go into the old one.
    ///
    /// - Parameter told: called on the log's thread; with why, if the old file stays in use.
    package func reopen(_ told: @escaping @Sendable (SocketError?) -> Void) {
        flush()
        writer.execute {
            do throws(SocketError) {
                try self.file.reopen()
                told(nil)
            } catch {
                told(error)
            }
        }
    }

    /// Writes what waits, and takes no more; waits for it a second at most.
    func finish() async {
        flush()
        for _ in 0..<100 where waiting.withLock({ $0.isWriting }) {
            // One that is cancelled does not wait.
            try? await Task.sleep(for: .milliseconds(10))
        }
        writer.stop()
    }

    /// Writes until nothing waits; on the log's thread.
    private func drain() {
        var lines: [UInt8] = []
        while true {
            lines.removeAll(keepingCapacity: true)
            let isMore = waiting.withLock { waiting in
                swap(&lines, &waiting.lines)
                waiting.isWriting = !lines.isEmpty
                return waiting.isWriting
            }
            guard isMore else { return }
            lost.wrappingAdd(file.append(lines), ordering: .relaxed)
        }
    }
}
