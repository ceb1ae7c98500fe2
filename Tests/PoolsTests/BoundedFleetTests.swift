import Foundation
import Glibc
import Jobs
import Logging
import RawJSON
import Sockets
import Synchronization
import Testing
import Threads

@testable import Pools

extension RuntimePoolTests {
    /// Where calls go whose memory is bounded, when workers have cgroups.
    ///
    /// The cgroups are plain folders, in which a test writes what the kernel would say.
    @Suite struct BoundedFleetTests {
        private static let bound = 200 << 20

        @Test
        func `a call that no worker has the memory for costs one of them and holds up no other`()
            async throws
        {
            let setup = try FleetUnderTest(size: 3)
            let workers = try await setup.start()
            for worker in workers { try setup.give(worker, bytes: 2 * Self.bound) }
            let gate = DispatchSemaphore(value: 0)
            setup.spawner.execute { gate.wait() }  // the new worker comes when the test says so
            let bounded = setup.begin(within: Self.bound)
            var plain: [Task<FleetUnderTest.Answer, any Error>] = []
            for number in 1...3 {
                // It comes behind the other, and its end is a moment to look for a place again.
                plain.append(setup.begin())
                try await until { setup.ended.withLock { $0.count } == workers.count + number }
            }
            #expect(await setup.count() == 2)
            gate.signal()
            for call in plain {
                let answer = try await call.value
                #expect(workers.contains(answer.worker))
                #expect(answer.bound == nil)
            }
            let answer = try await bounded.value
            #expect(!workers.contains(answer.worker))
            #expect(answer.bound == Self.bound)
            try await until { workers.count { kill($0, 0) == 0 } == 2 }
            #expect(await setup.count() == 3)
            await setup.stop()
        }

        @Test func `a worker that has the memory is taken though others are before it`()
            async throws
        {
            let setup = try FleetUnderTest(size: 3)
            let workers = try await setup.start()
            for worker in workers.dropLast() { try setup.give(worker, bytes: 2 * Self.bound) }
            for _ in 0..<5 {
                let answer = try await setup.begin(within: Self.bound).value
                #expect(answer.worker == workers.last)
            }
            #expect(workers.allSatisfy { kill($0, 0) == 0 })
            await setup.stop()
        }

        @Test func `two calls at once have two new workers`() async throws {
            let setup = try FleetUnderTest(size: 3)
            let workers = try await setup.start()
            for worker in workers { try setup.give(worker, bytes: 2 * Self.bound) }
            let gate = DispatchSemaphore(value: 0)
            setup.spawner.execute { gate.wait() }
            let calls = setup.begin([Self.bound, Self.bound])
            #expect(await setup.count() == 1)
            gate.signal()
            for call in calls { #expect(try await !workers.contains(call.value.worker)) }
            try await until { workers.count { kill($0, 0) == 0 } == 1 }
            await setup.stop()
        }

        @Test func `each call has its own bound before it begins, and the order is kept`()
            async throws
        {
            let setup = try FleetUnderTest(size: 1)
            let workers = try await setup.start()
            let bounds: [Int?] = [nil, 1 << 30, 1 << 30, nil, 2 << 30, nil, nil, 1 << 30]
            let calls = setup.begin(bounds)
            for (bound, call) in zip(bounds, calls) {
                let answer = try await call.value
                #expect(answer.worker == workers.first)
                #expect(answer.bound == bound)
            }
            let order = setup.ended.withLock { $0 }
            #expect(order == order.sorted())
            await setup.stop()
        }

        @Test func `a call that is stopped while its worker is on its way is not run`() async throws
        {
            let setup = try FleetUnderTest(size: 2)
            let workers = try await setup.start()
            for worker in workers { try setup.give(worker, bytes: 2 * Self.bound) }
            let gate = DispatchSemaphore(value: 0)
            setup.spawner.execute { gate.wait() }
            let bounded = setup.begin(within: Self.bound)
            #expect(await setup.count() == 1)
            bounded.cancel()
            await #expect(throws: FleetUnderTest.NoResult.self) { try await bounded.value }
            gate.signal()
            try await until { await setup.count() == 2 }
            try await until { workers.count { kill($0, 0) == 0 } == 1 }
            await setup.stop()
        }
    }
}
