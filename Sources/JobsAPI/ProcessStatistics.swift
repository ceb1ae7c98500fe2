import Glibc

/// What the kernel says of this process, from `/proc/self` (proc(5)).
struct ProcessStatistics {
    var cpuSeconds = 0.0
    var residentBytes = 0
    var virtualBytes = 0
    var threads = 0
    /// Seconds since 1970.
    var startTime = 0.0
    var openDescriptors = 0
    var mostDescriptors = 0

    /// Members stay 0 where the kernel does not say.
    static func current() -> ProcessStatistics {
        var found = ProcessStatistics()
        let ticks = Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
        // The name before may hold anything but ends at the last parenthesis.
        let stat = text(of: "/proc/self/stat").split(separator: ")").last ?? ""
        let fields = stat.split(separator: " ")
        if fields.count > 21 {
            found.cpuSeconds = ((Double(fields[11]) ?? 0) + (Double(fields[12]) ?? 0)) / ticks
            found.threads = Int(fields[17]) ?? 0
            found.virtualBytes = Int(fields[20]) ?? 0
            found.residentBytes = (Int(fields[21]) ?? 0) * sysconf(Int32(_SC_PAGESIZE))
            found.startTime = bootTime() + (Double(fields[19]) ?? 0) / ticks
        }
        found.openDescriptors = countDescriptors()
        let limits = text(of: "/proc/self/limits").split(separator: "\n")
        let line = limits.first { $0.hasPrefix("Max open files") }?.split(separator: " ") ?? []
        if line.count > 3 { found.mostDescriptors = Int(line[3]) ?? 0 }
        return found
    }

    /// Seconds since 1970 at which the machine was started.
    private static func bootTime() -> Double {
        var (now, running) = (timespec(), timespec())
        clock_gettime(CLOCK_REALTIME, &now)
        clock_gettime(CLOCK_BOOTTIME, &running)
        return Double(now.tv_sec - running.tv_sec) + Double(now.tv_nsec - running.tv_nsec) * 1e-9
    }

    private static func text(of path: String) -> String {
        guard let file = fopen(path, "r") else { return "" }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 64 << 10)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes.prefix(count), as: UTF8.self)
    }

    private static func countDescriptors() -> Int {
        guard let folder = opendir("/proc/self/fd") else { return 0 }
        defer { closedir(folder) }
        var count = -3  // the two of every folder, and the descriptor of this reading
        while readdir(folder) != nil { count += 1 }
        return max(0, count)
    }
}
