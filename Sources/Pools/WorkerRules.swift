/// What holds for every worker process, and for how long one stays.
package struct WorkerRules: Sendable {
    /// Calls, a map's chunks among them, after which a worker is replaced; nil for no bound.
    package var maxCalls: Int?
    /// Bytes of resident memory above which a worker is replaced after a call; nil for no bound.
    package var maxMemoryBytes: Int?
    /// Descriptors that a worker or command may have open; nil for as many as the server.
    package var openFiles: Int?
    /// Processes and threads that a worker or a command may have (`pids.max`); nil for the system's.
    ///
    /// Without a cgroup those that the server's user may have before one can start no more
    /// (`RLIMIT_NPROC`, which does not hold for root).
    package var processes: Int?

    package init() {}
}
