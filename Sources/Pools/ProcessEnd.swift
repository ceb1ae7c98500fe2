import Glibc
import Jobs

/// How a process ended.
struct ProcessEnd {
    var signal: Int?
    var status: Int?
    /// What the kernel says of its cgroup; nil when it had none of its own.
    private var memory: Cgroup.MemoryVerdict?
    private var maxMemoryBytes: Int?
    private var cpuSeconds: Double?

    /// Reads what `wait4(2)` gives.
    ///
    /// bubblewrap exits with 128 and the signal by which what it ran was ended, as shells do: that is
    /// taken for the signal. What it ran has used is not known, since bubblewrap does not wait for it.
    init(status word: Int32, usage: rusage, isSandboxed: Bool = false) {
        if word & 0x7f == 0 {
            status = Int(word >> 8 & 0xff)
        } else {
            signal = Int(word & 0x7f)
        }
        if isSandboxed {
            if let told = status.map({ $0 - 128 }), Self.names[told] != nil {
                signal = told
                status = nil
            }
            return
        }
        // The kernel counts what this process had when it started the other.
        let most = usage.ru_maxrss * 1024
        if most > ProcessMemory.ownPeakBytes() { maxMemoryBytes = most }
        let times = [usage.ru_utime, usage.ru_stime]
        cpuSeconds = times.reduce(0) { $0 + Double($1.tv_sec) + Double($1.tv_usec) / 1e6 }
    }

    /// Notes what the kernel says of the process's cgroup.
    mutating func note(_ memory: Cgroup.MemoryVerdict, peakBytes: Int?) {
        self.memory = memory
        // What the process alone has had tells nothing of why it was killed.
        if memory != .enough { maxMemoryBytes = peakBytes ?? maxMemoryBytes }
    }

    /// Blames the process's end.
    ///
    /// - Parameters:
    ///   - limits: those of the call that it ran.
    ///   - kills: asked when a process without a cgroup was killed by SIGKILL.
    /// - Returns: who is to blame, with what the process has used.
    func failure(within limits: CallLimits, _ kills: KernelKills) -> Failure {
        var failure = self.failure
        if signal == Int(SIGXCPU), let seconds = limits.cpuSeconds {
            failure.reason = .limit
            failure.type = "CPULimit"
            failure.message = "The call used up its max_cpu_seconds of \(seconds)."
        } else if hasRunOutOfMemory(kills) {
            failure.reason = .outOfMemory
            failure.type = "OutOfMemory"
            failure.message = "The kernel killed the process, because memory had run out."
            if memory == .boundReached, let bytes = limits.memoryBytes {
                failure.message =
                    "The kernel killed the process and all that it had started: together they"
                    + " wanted more than the max_memory_bytes of \(bytes)."
            }
        }
        return failure
    }

    /// A process may have ended by itself in the moment in which the kernel killed what it had started.
    private func hasRunOutOfMemory(_ kills: KernelKills) -> Bool {
        if let memory { return memory != .enough }
        return signal == Int(SIGKILL) && kills.takeOne()
    }

    var failure: Failure {
        var failure = cause
        failure.maxMemoryBytes = maxMemoryBytes
        failure.cpuSeconds = cpuSeconds
        return failure
    }

    private var cause: Failure {
        if let signal {
            let name = Self.names[signal] ?? "signal \(signal)"
            return Failure(
                .signal, type: name, message: "The worker process was killed by \(name).",
                signal: signal)
        }
        return Failure(
            .exit, type: "WorkerExit",
            message: "The worker process ended with status \(status ?? 0) during the call.",
            exitStatus: status)
    }

    private static let names = [
        1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS",
        8: "SIGFPE", 9: "SIGKILL", 11: "SIGSEGV", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM",
        24: "SIGXCPU", 25: "SIGXFSZ", 31: "SIGSYS",
    ]
}
