import CLinux
import Glibc
import Synchronization

/// The processes that this server has started, and what they leave behind.
///
/// The server is the subreaper of all its descendants (prctl(2)): a process whose parent has ended,
/// also one that made a session of its own, becomes its child. Such a one was left behind by a
/// worker or a command that has ended, and is killed, so that "cancelled" means that nothing of the
/// job runs any more. Starts and sweeps happen on one thread, so that no sweep meets a process that
/// is not in the list yet.
package final class ChildProcesses: Sendable {
    /// And whether each is bubblewrap, which tells by its status how what it runs has ended.
    private let known = Mutex<[pid_t: Bool]>([:])

    package init() { clinux_become_subreaper() }

    func add(_ pid: pid_t, isSandboxed: Bool) {
        known.withLock { $0[pid] = isSandboxed }
    }

    /// Reaps a process of the list that has ended.
    func reap(_ pid: pid_t) -> ProcessEnd {
        known.withLock { known in
            var status: Int32 = 0
            var usage = rusage()
            wait4(pid, &status, 0, &usage)
            let isSandboxed = known.removeValue(forKey: pid) ?? false
            return ProcessEnd(status: status, usage: usage, isSandboxed: isSandboxed)
        }
    }

    /// Kills and reaps what processes that have ended left behind; on the thread of the starts.
    func sweep() {
        // Each that is killed may leave children of its own.
        for _ in 0..<100 {
            let strangers = known.withLock { known in
                Self.children().filter { known[$0] == nil }
            }
            if strangers.isEmpty { return }
            for pid in strangers {
                kill(pid, SIGKILL)
                waitpid(pid, nil, 0)
            }
        }
    }

    /// The processes whose parent is this one.
    private static func children() -> [pid_t] {
        guard let tasks = opendir("/proc/self/task") else { return [] }
        defer { closedir(tasks) }
        var found: [pid_t] = []
        while let entry = readdir(tasks) {
            let name = withUnsafePointer(to: entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard let file = fopen("/proc/self/task/\(name)/children", "r") else { continue }
            defer { fclose(file) }
            var bytes = [UInt8](repeating: 0, count: 64 << 10)
            let count = fread(&bytes, 1, bytes.count, file)
            let text = String(decoding: bytes.prefix(count), as: UTF8.self)
            found += text.split(separator: " ").compactMap { pid_t($0) }
        }
        return found
    }
}
