import CLinux
import Glibc

/// A program that is run while the server starts, for what it says.
package enum ShortProgram {
    /// Runs it to its end, 20 s at most; blocks.
    ///
    /// - Parameters:
    ///   - arguments: the first is the program's path.
    ///   - environment: all of it.
    ///   - takesErrors: whether its standard error counts as what it says, too.
    ///   - children: of the server, among which it is.
    /// - Returns: its exit status, nil when it did not exit by itself, and up to 1 MiB of its output.
    package static func run(
        _ arguments: [String], environment: [String: String], takesErrors: Bool = false,
        in children: ChildProcesses,
    ) -> (status: Int?, output: String) {
        var ends: [Int32] = [0, 0]
        guard clinux_pipe(&ends) == 0 else { return (nil, String(cString: strerror(errno))) }
        let pid = spawnProcess(
            WorkerLaunch(arguments: arguments, environment: environment), input: -1,
            output: ends[1], error: takesErrors ? ends[1] : 2, channel: -1, in: children)
        close(ends[1])
        defer { close(ends[0]) }
        guard pid > 0 else { return (nil, String(cString: strerror(-pid))) }
        let end = ContinuousClock.now + .seconds(20)
        let output = read(ends[0], until: end)
        let pidfd = clinux_pidfd_open(pid)
        wait(for: pidfd, until: end)
        close(pidfd)
        kill(-pid, SIGKILL)  // unless it has ended, it is too slow
        let status = children.reap(pid).status
        children.killStrangers()  // else they would be in the way of `CgroupFolder`
        return (status, String(decoding: output, as: UTF8.self))
    }

    private static func read(_ fd: Int32, until end: ContinuousClock.Instant) -> [UInt8] {
        var output: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while output.count < 1 << 20 {
            guard wait(for: fd, until: end) else { break }
            let count = Glibc.read(fd, &buffer, buffer.count)
            guard count > 0 else { break }
            output += buffer[..<count]
        }
        return output
    }

    /// Waits until there is something to read; false when the time is over.
    @discardableResult
    private static func wait(for fd: Int32, until end: ContinuousClock.Instant) -> Bool {
        var watched = pollfd(fd: fd, events: Int16(POLLIN), revents: 0)
        let left = (end - .now) / .milliseconds(1)
        return left > 0 && poll(&watched, 1, Int32(left)) > 0
    }
}
