import Glibc

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

/// How much memory a process has.
enum ProcessMemory {
    /// Bytes in memory at present (`/proc/PID/statm`, proc(5)); 0 when the process is gone.
    static func residentBytes(of pid: pid_t) -> Int {
        guard let file = fopen("/proc/\(pid)/statm", "r") else { return 0 }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 128)
        let count = fread(&bytes, 1, bytes.count, file)
        let fields = String(decoding: bytes.prefix(count), as: UTF8.self).split(separator: " ")
        return fields.count > 1 ? (Int(fields[1]) ?? 0) * sysconf(Int32(_SC_PAGESIZE)) : 0
    }

    /// The most bytes that this process ever had in memory (`VmHWM`, proc(5)); getrusage(2) would
    /// count what had started it, too.
    static func ownPeakBytes() -> Int {
        guard let file = fopen("/proc/self/status", "r") else { return 0 }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = fread(&bytes, 1, bytes.count, file)
        let line = String(decoding: bytes.prefix(count), as: UTF8.self)
            .split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        let kibibytes = line?.split(separator: " ").compactMap { Int($0) }.first
        return (kibibytes ?? 0) << 10
    }
}
