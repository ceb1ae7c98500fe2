import Jobs
import Sockets
import Testing

@testable import JobEngine

@Suite struct WaitClockTests {
    private let loop: EventLoop
    private let clock: WaitClock

    init() throws {
        loop = try EventLoop(name: "clock-test")
        clock = WaitClock(on: loop)
    }

    @Test func `waits end in the order of their times, not of their beginnings`() async {
        defer { loop.stop() }
        let ended = await withTaskGroup(of: Double.self) { group in
            for seconds in [0.6, 0.1, 0.35, 30] {
                let waiter = JobWaiters.Waiter()
                if seconds == 30 { waiter.resume(nil) }  // its job has ended before it waits
                group.addTask { [clock] in
                    _ = await waiter.wait(seconds: seconds, by: clock)
                    return seconds
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(ended == [30, 0.1, 0.35, 0.6])
    }

    @Test func `a short wait ends in its time after thousands that ended before theirs`() async {
        defer { loop.stop() }
        for _ in 0..<5000 {
            let waiter = JobWaiters.Waiter()
            waiter.resume(nil)
            #expect(await waiter.wait(seconds: 60, by: clock) == nil)
        }
        #expect(await JobWaiters.Waiter().wait(seconds: 0.01, by: clock) == nil)
    }
}
