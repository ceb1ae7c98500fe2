import Foundation
import Jobs
import Pools
import Synchronization
import Testing
import Threads

/// One test after the other: a pool kills the processes of this one that it has not started itself.
@Suite(.serialized) struct RuntimePoolTests {
    @Test func `a call that comes while a dead worker is swept goes to the next one`() async throws
    {
        let setup = try PoolUnderTest(slots: 1)
        let worker = try await setup.workerID()
        let gate = DispatchSemaphore(value: 0)
        setup.spawner.execute { gate.wait() }
        async let died = setup.run("die")
        try await setup.gone(worker)
        let outcome = Mutex<CallOutcome.Value?>(nil)
        // A task of its own: if the call were lost, the test would wait for it without an end.
        Task {
            let value = await setup.run("pid")
            outcome.withLock { $0 = value }
        }
        try await until { await setup.pool.status().running == 2 }
        gate.signal()
        guard case .failure(let failure) = await died else {
            return #expect(Bool(false), "a worker that was killed has a result")
        }
        #expect(failure.signal == 9)
        try await until { outcome.withLock { $0 != nil } }
        await setup.pool.stop()
    }

    @Test func `calls behind the one that killed the worker are run by another`() async throws {
        let setup = try PoolUnderTest(slots: 2)
        await withTaskGroup { group in
            for number in 0..<20 {
                group.addTask { (number, await setup.run(number == 3 ? "die" : "pid")) }
            }
            for await (number, value) in group {
                switch value {
                case .failure(let failure):
                    #expect(number == 3)
                    #expect(failure.signal == 9)
                default: #expect(number != 3)
                }
            }
        }
        await setup.pool.stop()
    }

    @Test func `a call that is cancelled while its dead worker is swept is not run`() async throws {
        let setup = try PoolUnderTest(slots: 1)
        let worker = try await setup.workerID()
        let gate = DispatchSemaphore(value: 0)
        setup.spawner.execute { gate.wait() }
        let call = Task { await setup.run("die") }
        try await setup.gone(worker)
        call.cancel()
        await setup.settle()
        gate.signal()
        guard case .failure(let failure) = await call.value else {
            return #expect(Bool(false), "a cancelled call has a result")
        }
        #expect(failure.reason == .cancelled)
        await setup.pool.stop()
    }
}
