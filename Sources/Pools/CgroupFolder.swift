import CLinux
import Glibc
package import Logging
import Synchronization

/// The server's branch of the cgroup tree (version 2), where workers get cgroups of their own.
///
///     the cgroup that the server was started in    must be its own to write
///     ├── martlet-server      the server: beside controllers only leaves may have processes
///     ├── martlet-worker-1    a worker, and all that it has started
///     └── martlet-worker-2
///
/// Unlike an rlimit, which is of a process, a cgroup's bounds are of all that a worker has started,
/// tmpfs files and shared memory included; it is killed whole; and its own count tells that the kernel
/// has killed for want of memory there, and not elsewhere.
package final class CgroupFolder: Sendable {
    private let base: Cgroup
    private let own: Cgroup
    private let countsProcesses: Bool
    /// Controllers that were not handed on before, unless by a server that was killed.
    private let handedOn: [String]
    /// Says, for as long as the server lives, that all that is here is its own.
    private let lock: Int32
    private let started = Atomic(0)
    private let logger: Logger

    /// Where workers' cgroups are.
    package var path: String { base.path }

    private static let ownName = "martlet-server"
    private static let workerPrefix = "martlet-worker-"

    /// Moves this process into a leaf, hands the controllers on to the others, and ends what a server
    /// that was killed has left; blocks.
    ///
    /// - Parameter logger: told of a worker that is started without a cgroup, for the system refuses.
    /// - Throws: why it cannot be had; then all is as it was before.
    package init(logger: Logger) throws(CgroupRefusal) {
        self.logger = logger
        guard let membership = Self.membership(in: contents(of: "/proc/self/cgroup") ?? ""),
            let path = Self.path(
                of: membership, mounts: contents(of: "/proc/self/mountinfo") ?? "")
        else { throw CgroupRefusal("it is in no cgroup of version 2 that is mounted") }
        base = Cgroup(path: path)
        own = Cgroup(path: path + "/" + Self.ownName)
        let controllers = base.words("cgroup.controllers")
        guard controllers.contains("memory") else {
            throw CgroupRefusal("\(path) has no memory controller")
        }
        guard Self.isHandedOut(path) else {
            throw CgroupRefusal("systemd keeps \(path); the unit wants Delegate=memory pids")
        }
        countsProcesses = controllers.contains("pids")
        let before = base.words("cgroup.subtree_control")
        let isResumed = access(own.path, F_OK) == 0
        handedOn = ["memory", "pids"].filter { isResumed || !before.contains($0[...]) }
        lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard lock >= 0, flock(lock, LOCK_EX | LOCK_NB) == 0 else {
            let error = CgroupError(path, errno)
            if lock >= 0 { close(lock) }
            throw CgroupRefusal(
                error.code == EWOULDBLOCK ? "another server has \(path)" : "\(error)")
        }
        do throws(CgroupError) {
            try settle(everybody: membership == "/" && base.read("cgroup.type") != nil)
        } catch {
            release()
            throw CgroupRefusal(
                error.code == EBUSY ? "other processes are in \(path), too" : "\(error)")
        }
        for left in workers { left.remove() }
    }

    /// Moves to the leaf, and hands the controllers on.
    ///
    /// - Parameter everybody: whether all that is in the folder is to move; in a container it is, where a
    ///   first process or a shell may have started the server. Elsewhere others are let alone.
    /// - Throws: what the system answers.
    private func settle(everybody: Bool) throws(CgroupError) {
        if mkdir(own.path, 0o755) != 0, errno != EEXIST { throw CgroupError(own.path, errno) }
        try own.write("0", to: "cgroup.procs")
        for _ in 0..<10 where everybody {
            // One that cannot be moved, or has ended meanwhile, shows at the next step.
            for pid in base.processes { try? own.write(String(pid), to: "cgroup.procs") }
        }
        try base.write("+memory", to: "cgroup.subtree_control")
        if countsProcesses { try base.write("+pids", to: "cgroup.subtree_control") }
    }

    /// Puts all back where it was, as far as the system lets us; nothing is started any more.
    package func release() {
        for worker in workers { worker.remove() }
        for controller in handedOn {
            try? base.write("-" + controller, to: "cgroup.subtree_control")
        }
        for pid in own.processes { try? base.write(String(pid), to: "cgroup.procs") }
        rmdir(own.path)
        close(lock)
    }

    /// Makes a cgroup for a process that is to be started.
    ///
    /// - Parameters:
    ///   - memoryBytes: that all in it may have together; nil for no bound.
    ///   - processes: and threads that may be in it; nil for no bound.
    /// - Returns: nil when the system refuses.
    func makeWorker(memoryBytes: Int?, processes: Int?) -> Cgroup? {
        let number = started.wrappingAdd(1, ordering: .relaxed).newValue
        let worker = Cgroup(path: "\(base.path)/\(Self.workerPrefix)\(number)")
        do throws(CgroupError) {
            guard mkdir(worker.path, 0o755) == 0 else { throw CgroupError(worker.path, errno) }
            // What is left of a program one of whose processes was killed is of no use.
            try worker.write("1", to: "memory.oom.group")
            if let memoryBytes { try worker.boundMemory(memoryBytes) }
            if countsProcesses, let processes { try worker.boundProcesses(processes) }
            return worker
        } catch {
            worker.remove()
            logger.warning("a worker has no cgroup", metadata: ["error": "\(error)"])
            return nil
        }
    }

    private var workers: [Cgroup] {
        let start = base.path + "/" + Self.workerPrefix
        return base.children.filter { $0.path.hasPrefix(start) }
    }

    // MARK: Where we are

    /// Whether a cgroup, if it is a unit of systemd's, is the unit's own to change.
    ///
    /// Else systemd may take the controllers away, and with them the bounds, whenever it looks at its
    /// units again.
    private static func isHandedOut(_ path: String) -> Bool {
        guard path.hasSuffix(".service") || path.hasSuffix(".scope") else { return true }
        return clinux_is_delegated(path)
    }

    /// The path in the hierarchy of version 2, of `/proc/PID/cgroup`; of a server that was started by
    /// one that had moved it to its leaf, that of the leaf's parent.
    static func membership(in text: String) -> String? {
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("0::/") }) else {
            return nil
        }
        let path = line.dropFirst(3)
        guard path.hasSuffix("/" + ownName) else { return String(path) }
        let parent = path.dropLast(ownName.utf8.count + 1)
        return parent.isEmpty ? "/" : String(parent)
    }

    /// The folder of a cgroup, by the mounts of `/proc/PID/mountinfo` (proc(5)); nil when it is below
    /// none of them.
    static func path(of membership: String, mounts: String) -> String? {
        for line in mounts.split(separator: "\n") where line.contains(" - cgroup2 ") {
            let fields = line.split(separator: " ")
            let (root, point) = (fields[3] == "/" ? "" : fields[3], fields[4])
            guard membership == root || membership.hasPrefix(root + "/") else { continue }
            let rest = membership.dropFirst(root.count)
            return String(rest == "/" ? point : point + rest)
        }
        return nil
    }
}

/// Why workers get no cgroups, for people.
package struct CgroupRefusal: Error, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }
}
