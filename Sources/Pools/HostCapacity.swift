import CLinux

/// How many CPUs this server may use.
package enum HostCapacity {
    /// CPUs of the affinity mask, or the cgroup's quota rounded up where that is less; at least 1.
    package static func cpus() -> Int {
        let affinity = Int(clinux_affinity_cpus())
        guard let quota = cgroupQuota() else { return affinity }
        return max(1, min(affinity, Int(quota.rounded(.up))))
    }

    /// CPUs that the cgroup grants, versions 2 and 1; nil when unlimited or unknown.
    private static func cgroupQuota() -> Double? {
        if let text = read("/sys/fs/cgroup/cpu.max") {
            let parts = text.split(separator: " ")
            guard parts.count == 2, let quota = Double(parts[0]), let period = Double(parts[1])
            else { return nil }
            return quota / period
        }
        guard let quota = read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").flatMap(Double.init),
            let period = read("/sys/fs/cgroup/cpu/cpu.cfs_period_us").flatMap(Double.init),
            quota > 0, period > 0
        else { return nil }
        return quota / period
    }

    /// The first line of a file.
    private static func read(_ path: String) -> String? {
        contents(of: path).map { String($0.prefix { $0 != "\n" }) }
    }
}
