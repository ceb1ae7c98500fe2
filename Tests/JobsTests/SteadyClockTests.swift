import Testing

@testable import Jobs

@Suite struct SteadyClockTests {
    private static let second: Int64 = 1_000_000
    private static let hour = 3600 * second

    @Test func `it shows the wall clock's time while that goes evenly`() {
        var clock = SteadyClock(wall: 5000, uptime: 70)
        #expect(clock.read(wall: 5000, uptime: 70) == 5000)
        #expect(clock.read(wall: 5000 + Self.hour, uptime: 70 + Self.hour) == 5000 + Self.hour)
    }

    @Test(arguments: [-hour, hour, 20 * hour])
    func `a jump changes a second by a tenth`(jump: Int64) {
        var clock = SteadyClock(wall: Self.hour, uptime: 0)
        #expect(clock.read(wall: Self.hour + jump, uptime: 0) == Self.hour)
        let after = clock.read(wall: Self.hour + jump + 10 * Self.second, uptime: 10 * Self.second)
        #expect(after - Self.hour == (jump > 0 ? 11 : 9) * Self.second)
    }

    @Test(arguments: [-25 * hour, 25 * hour])
    func `a clock that was wrong by more than a day is set right at once`(jump: Int64) {
        var clock = SteadyClock(wall: 100 * Self.hour, uptime: 0)
        let wall = 100 * Self.hour + jump
        #expect(clock.read(wall: wall, uptime: 0) == wall)
        #expect(clock.read(wall: wall + 5, uptime: 5) == wall + 5)
    }

    @Test func `it comes back to the wall clock`() {
        var clock = SteadyClock(wall: 0, uptime: 0)
        var time: Int64 = 0
        for minute in 1...11 {
            let uptime = Int64(minute) * 60 * Self.second
            let next = clock.read(wall: uptime + 60 * Self.second, uptime: uptime)
            #expect(next > time)
            time = next
        }
        #expect(time == 12 * 60 * Self.second)
    }

    @Test func `it does not go back`() {
        var clock = SteadyClock(wall: Self.hour, uptime: 100)
        #expect(clock.read(wall: 0, uptime: 100) == Self.hour)
        #expect(clock.read(wall: 0, uptime: 50) == Self.hour)
        #expect(clock.read(wall: 0, uptime: 200) == Self.hour + 90)
    }
}
