/// Wall time without jumps, made of the system's two clocks.
///
/// When somebody sets the system's clock, delays, retries and the keeping of results are not to end
/// at once, or an hour late: from its start on this clock goes with the one that counts from boot,
/// and where the wall clock differs it follows by a tenth of the time that passes. So a second is
/// between 0.9 and 1.1 seconds long, and it does not go back. A clock that was wrong by more than a
/// day, as at the boot of a machine that has no battery for it, is set right at once.
struct SteadyClock {
    private var time: Int64
    private var uptime: Int64

    /// In microseconds.
    private static let day: Int64 = 86_400_000_000

    /// Starts with the wall clock's time.
    ///
    /// - Parameters:
    ///   - wall: microseconds since 1970.
    ///   - uptime: microseconds on the clock that counts from boot.
    init(wall: Int64, uptime: Int64) {
        time = wall
        self.uptime = uptime
    }

    /// The time when the two clocks show these.
    mutating func read(wall: Int64, uptime: Int64) -> Int64 {
        // Two threads may come here in another order than they have looked at the clocks.
        let passed = max(0, uptime - self.uptime)
        self.uptime += passed
        let difference = wall - (time + passed)
        let most = abs(difference) > Self.day ? abs(difference) : passed / 10
        time += passed + min(max(difference, -most), most)
        return time
    }
}
