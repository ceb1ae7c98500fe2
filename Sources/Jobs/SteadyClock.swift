/// Wall time without jumps, made of the system's two clocks.
///
/// When somebody sets the system's clock, delays, retries and the keeping of results are not to end
/// at once, or an hour late: from its start on this clock goes with the one that counts from boot,
/// and where the wall clock differs it follows by a tenth of the time that passes. So a second is
/// between 0.9 and 1.1 seconds long, and it never goes back.
struct SteadyClock {
    private var time: Int64
    private var uptime: Int64

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
        let most = passed / 10
        time += passed + min(max(wall - (time + passed), -most), most)
        self.uptime += passed
        return time
    }
}
