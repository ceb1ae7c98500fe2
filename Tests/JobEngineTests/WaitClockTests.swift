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

    @Test func `a nearer deadline takes the timer's place`() async throws {
        weak var released: WaitClock?
        do {
            let clock = WaitClock(on: loop)
            released = clock
            let long = JobWaiters.Waiter()
            async let hour = long.wait(seconds: 3600, by: clock)
            for _ in 0..<5 { _ = await JobWaiters.Waiter().wait(seconds: 0.01, by: clock) }
            long.resume(nil)
            _ = await hour
            // When this one has ended, there is nothing left to set a timer for.
            _ = await JobWaiters.Waiter().wait(seconds: 0.01, by: clock)
        }
        await withCheckedContinuation { done in loop.execute { done.resume() } }
        // A timer that had been left would hold the clock for an hour.
        #expect(released == nil)
        loop.stop()
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
