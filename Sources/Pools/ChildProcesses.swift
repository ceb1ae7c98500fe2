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
    private let known = Mutex<[pid_t: Child]>([:])
    /// Cgroups of those that have been reaped.
    private let left = Mutex<[Cgroup]>([])

    private struct Child {
        /// Whether it is bubblewrap, which tells by its status how what it runs has ended.
        let isSandboxed: Bool
        let cgroup: Cgroup?
    }

    package init() { clinux_become_subreaper() }

    func add(_ pid: pid_t, isSandboxed: Bool, cgroup: Cgroup?) {
        known.withLock { $0[pid] = Child(isSandboxed: isSandboxed, cgroup: cgroup) }
    }

    /// The cgroup that a process of the list has for itself and what it starts.
    func cgroup(of pid: pid_t) -> Cgroup? { known.withLock { $0[pid]?.cgroup } }

    /// Reaps a process of the list that has ended, and kills what is left in its cgroup.
    func reap(_ pid: pid_t) -> ProcessEnd {
        let cgroup = cgroup(of: pid)
        var end = known.withLock { known in
            var status: Int32 = 0
            var usage = rusage()
            wait4(pid, &status, 0, &usage)
            let isSandboxed = known.removeValue(forKey: pid)?.isSandboxed ?? false
            return ProcessEnd(status: status, usage: usage, isSandboxed: isSandboxed)
        }
        if let cgroup {
            end.note(cgroup.memoryVerdict, peakBytes: cgroup.peakBytes)
            cgroup.kill()
            left.withLock { $0.append(cgroup) }
        }
        return end
    }

    /// Kills and reaps what processes that have ended left behind, and removes their cgroups; on the
    /// thread of the starts.
    func sweep() {
        killStrangers()
        let cgroups = left.withLock { left in
            defer { left = [] }
            return left
        }
        for cgroup in cgroups { cgroup.remove() }
    }

    private func killStrangers() {
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
            let name = String(cString: clinux_entry_name(entry))
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
