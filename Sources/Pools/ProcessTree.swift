import Glibc

/// Who has started whom (proc(5)).
enum ProcessTree {
    /// The group of what runs in the sandbox whose outer process is `pid`, for signals that the outer
    /// one would die of; nil while there is none.
    ///
    /// Process 1 of the namespace leads it, and passes over what does not kill it.
    static func sandboxedGroup(of pid: pid_t) -> pid_t? { children(of: pid).first }

    /// The worker in the sandbox whose outer process is `pid`; nil while there is none.
    static func sandboxed(in pid: pid_t) -> pid_t? {
        sandboxedGroup(of: pid).flatMap { children(of: $0).first }
    }

    /// What the first thread of a process has started, eldest first.
    private static func children(of pid: pid_t) -> [pid_t] {
        (contents(of: "/proc/\(pid)/task/\(pid)/children") ?? "")
            .split(separator: " ").compactMap { pid_t($0) }
    }
}
