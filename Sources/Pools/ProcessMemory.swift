import Glibc

/// How much memory a process has.
package enum ProcessMemory {
    /// Bytes in memory at present (`/proc/PID/statm`, proc(5)); 0 when the process is gone.
    package static func residentBytes(of pid: pid_t) -> Int {
        let fields = (contents(of: "/proc/\(pid)/statm") ?? "").split(separator: " ")
        return fields.count > 1 ? (Int(fields[1]) ?? 0) * sysconf(Int32(_SC_PAGESIZE)) : 0
    }

    /// The most bytes that this process ever had in memory (`VmHWM`, proc(5)); getrusage(2) would
    /// count what had started it, too.
    static func ownPeakBytes() -> Int {
        let line = (contents(of: "/proc/self/status") ?? "")
            .split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        let kibibytes = line?.split(separator: " ").compactMap { Int($0) }.first
        return (kibibytes ?? 0) << 10
    }
}
