import CLinux
import Glibc
import Synchronization
import Threads

/// The processes that this server has started, and what they leave behind.
///
/// The server is the subreaper of all its descendants (prctl(2)): a process whose parent has ended,
/// also one that made a session of its own, becomes its child. Such a one was left behind by a
/// worker or a command that has ended, and is killed, so that "cancelled" means that nothing of the
/// job runs any more. Starts and sweeps happen on one thread, so that no sweep meets a process that
/// is not in the list yet.
package final class ChildProcesses: Sendable {
    private let known = Mutex<[pid_t: Child]>([:])
    private let left = Mutex(Left())

    private struct Child {
        /// Whether it is bubblewrap, which tells by its status how what it runs has ended.
        let isSandboxed: Bool
        let cgroup: Cgroup?
    }

    /// What there is of those that have been reaped.
    private struct Left {
        var cgroups: [Cgroup] = []
        /// Whether a task looks at them from time to time.
        var isWatched = false
    }

    package init() { clinux_become_subreaper() }

    func add(_ pid: pid_t, isSandboxed: Bool, cgroup: Cgroup?) {
        known.withLock { $0[pid] = Child(isSandboxed: isSandboxed, cgroup: cgroup) }
    }

    /// The cgroup that a process of the list has for itself and what it starts.
    func cgroup(of pid: pid_t) -> Cgroup? { known.withLock { $0[pid]?.cgroup } }

    /// Reaps a process of the list that has ended, and kills what is left in its cgroup.
    func reap(_ pid: pid_t) -> ProcessEnd {
        var status: Int32 = 0
        var usage = rusage()
        // At once, for its number may be another's as soon as it is reaped.
        let child = known.withLock { known in
            wait4(pid, &status, 0, &usage)
            return known.removeValue(forKey: pid)
        }
        var end = ProcessEnd(
            status: status, usage: usage, isSandboxed: child?.isSandboxed ?? false)
        if let cgroup = child?.cgroup {
            end.note(cgroup.memoryVerdict, peakBytes: cgroup.peakBytes)
            cgroup.kill()
            left.withLock { $0.cgroups.append(cgroup) }
        }
        return end
    }

    /// Kills and reaps what processes that have ended left behind, and removes their cgroups.
    ///
    /// It waits for no cgroup in which something is still ending: that is removed later.
    ///
    /// - Parameter starts: the thread of the starts, on which this is called.
    func sweep(on starts: ThreadExecutor) {
        killStrangers()
        guard !removeCgroups() else { return }
        let isWatched = left.withLock { left in
            defer { left.isWatched = true }
            return left.isWatched
        }
        guard !isWatched else { return }
        // Nobody waits for it, and it ends with what it waits for: what no signal ends, as in a sleep
        // that cannot be interrupted, at some time.
        Task(executorPreference: starts) {
            var pause = Duration.milliseconds(20)
            repeat {
                try? await Task.sleep(for: pause)
                pause = min(pause * 2, .seconds(5))
            } while !self.removeCgroups()
        }
    }

    /// Removes the cgroups of those that have been reaped; false when there is still something in one.
    private func removeCgroups() -> Bool {
        let found = left.withLock { left in
            defer { left.cgroups = [] }
            return left.cgroups
        }
        let busy = found.filter { !$0.removeIfEmpty() }
        left.withLock { left in
            left.cgroups += busy
            // The sweep that goes with what has been reaped meanwhile is still to come.
            if busy.isEmpty { left.isWatched = false }
        }
        return busy.isEmpty
    }

    /// Kills and reaps what processes that have ended left behind.
    func killStrangers() {
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
            let text = contents(of: "/proc/self/task/\(name)/children") ?? ""
            found += text.split(separator: " ").compactMap { pid_t($0) }
        }
        return found
    }
}
