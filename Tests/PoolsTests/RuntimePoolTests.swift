import Foundation
import Glibc
import Jobs
import Pools
import RawJSON
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

    @Test func `an answer that is no JSON fails its call and costs nobody the worker`() async throws
    {
        let setup = try PoolUnderTest(slots: 1)
        let worker = try await setup.workerID()
        async let mumbled = setup.run("mumble")
        async let behind = setup.run("pid")
        guard case .failure(let failure) = await mumbled else {
            return #expect(Bool(false), "what is no JSON is a result")
        }
        #expect(failure.reason == .exception && failure.type == "UnreadableResult")
        guard case .result(let pid) = await behind else {
            return #expect(Bool(false), "the call behind has no result")
        }
        #expect(pid.int == Int(worker))
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

    @Test func `a call of two slots leaves one place of three`() async throws {
        let setup = try PoolUnderTest(slots: 3)
        #expect(await setup.reserve(cpus: 2))
        #expect(await !setup.reserve(cpus: 2))
        #expect(await setup.reserve())
        #expect(await !setup.reserve())
        await setup.giveBack(cpus: 2)
        #expect(await setup.reserve(cpus: 2))
        #expect(await !setup.reserve())
        await setup.giveBack(cpus: 2)
        await setup.giveBack()
        // More than there are: a job from a time with more slots has all of them.
        #expect(await setup.reserve(cpus: 9))
        #expect(await !setup.reserve())
        await setup.pool.stop()
    }

    @Test func `a call that waits lends its slot, and its worker is not disturbed`() async throws {
        let setup = try PoolUnderTest(slots: 1)
        let parent = try await setup.workerID()
        let room = Mutex(0)
        await setup.pool.whenRoom { room.withLock { $0 += 1 } }
        #expect(await setup.reserve())
        async let waiting = setup.run("await")
        try await until { room.withLock { $0 == 1 } }
        #expect(await setup.pool.status().running == 0)
        #expect(await setup.reserve())
        let child = try await setup.workerID()
        #expect(child != parent)
        try setup.openGate()
        guard case .result(let result) = await waiting else {
            Issue.record("the call that waited has no result")
            return
        }
        #expect(result.int == Int(parent))
        #expect(await setup.pool.status().running == 0)
        await setup.pool.stop()
    }

    @Test func `calls behind one that waits are taken back and run once`() async throws {
        let setup = try PoolUnderTest(slots: 1)
        _ = try await setup.workerID()
        // Immediate: with the pool before the others are, which else could need no second worker.
        let waiting = Task.immediate { await setup.run("await") }
        await withTaskGroup { group in
            for _ in 0..<5 { group.addTask { await setup.run("pid") } }
            for await value in group {
                guard case .result = value else {
                    Issue.record("a call that was taken back has no result")
                    continue
                }
            }
        }
        #expect(await setup.pool.status().workers == 2)
        try setup.openGate()
        guard case .result = await waiting.value else {
            Issue.record("the call that waited has no result")
            return
        }
        _ = try await setup.workerID()
        await setup.pool.stop()
    }

    @Test func `a call that dies while it waits has nothing left to lend`() async throws {
        let setup = try PoolUnderTest(slots: 1)
        let worker = try await setup.workerID()
        let room = Mutex(false)
        await setup.pool.whenRoom { room.withLock { $0 = true } }
        #expect(await setup.reserve())
        async let waiting = setup.run("await")
        try await until { room.withLock { $0 } }
        kill(worker, SIGKILL)
        guard case .failure(let failure) = await waiting else {
            Issue.record("a worker that was killed has a result")
            return
        }
        #expect(failure.signal == 9)
        #expect(await setup.pool.status().running == 0)
        #expect(await setup.reserve())
        #expect(await !setup.reserve())
        await setup.pool.stop()
    }
}
