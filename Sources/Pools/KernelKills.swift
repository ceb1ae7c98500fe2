import Synchronization

/// Tells whether the kernel has killed a process of this server's cgroup for want of memory.
///
/// For processes that have no cgroup of their own, which would tell of them alone. Such a process ends
/// by SIGKILL, as one does that somebody else kills; only the cgroup's count tells them apart. Both
/// versions of cgroups have one (memory.events; memory.oom_control).
package final class KernelKills: Sendable {
    private let counter: (path: String, label: String)?
    private let seen: Mutex<Int>

    package init() {
        counter = Self.find()
        seen = Mutex(counter.flatMap(Self.count) ?? 0)
    }

    /// Whether there is a kill that was not asked about before; takes one.
    func takeOne() -> Bool {
        guard let counter, let count = Self.count(counter) else { return false }
        return seen.withLock { seen in
            guard count > seen else { return false }
            seen += 1
            return true
        }
    }

    private static func find() -> (path: String, label: String)? {
        for line in (contents(of: "/proc/self/cgroup") ?? "").split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            var places: [(String, String)] = []
            if parts[1] == "memory" {
                // In a container the path may be the host's, and the mount the container's own.
                places = ["\(parts[2])", ""].map {
                    ("/sys/fs/cgroup/memory\($0)/memory.oom_control", "oom_kill ")
                }
            } else if parts[0] == "0" {
                places = ["\(parts[2])", ""].map {
                    ("/sys/fs/cgroup\($0)/memory.events", "oom_kill ")
                }
            }
            if let found = places.first(where: { count($0) != nil }) { return found }
        }
        return nil
    }

    private static func count(_ counter: (path: String, label: String)) -> Int? {
        contents(of: counter.path)?.split(separator: "\n").first { $0.hasPrefix(counter.label) }
            .flatMap { Int($0.dropFirst(counter.label.count)) }
    }
}
