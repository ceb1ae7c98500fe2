import Foundation
import Jobs
import Logging
import Pools
import RawJSON
import Sockets
import Synchronization
import Testing
import Threads

@testable import Functions

/// Native functions that pay no heed when they are to stop.
@Suite struct DeafFunctionTests {
    /// Keeps what is said of a job.
    private final class Listener: CallReporter {
        let lines = Mutex<[String]>([])
        func log(_ said: [LogLine], of job: JobID) {
            lines.withLock { $0 += said.map(\.text) }
        }
        func progress(_ progress: JobProgress, of job: JobID) {}
    }

    @Test(arguments: [PoolKind.thread, .async])
    func `a thread that is held is said to be so and another takes its place`(
        kind: PoolKind,
    ) async throws {
        let gate = DispatchSemaphore(value: 0)
        let deaf = NativeFunction("deaf", "Holds its thread.", [], pools: [kind]) { _ in
            gate.wait()
            return RawJSON(trusted: Array("7".utf8)[...])
        }
        let plain = NativeFunction("plain", "", [], pools: [kind]) { _ in
            RawJSON(trusted: Array("1".utf8)[...])
        }
        let pool = RuntimePool(
            RuntimePool.Parts(
                kind: kind, slots: 1, loop: try EventLoop(name: "pool"),
                spawner: ThreadExecutor(name: "spawner", threads: 1), children: ChildProcesses(),
                natives: [deaf, plain], python: nil, native: nil, kills: KernelKills(),
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }))
        let listener = Listener()
        var call = Call(function: deaf.function, payload: .arguments(.emptyArray))
        call.source = CallSource(
            job: JobIDGenerator().next(at: .now()), reporter: listener, traceparent: nil)
        let given = call
        let held = Task { await pool.run(given).value }
        try await until { await pool.status().running == 1 }
        held.cancel()
        try await until { await pool.status().running == 0 }
        let said = listener.lines.withLock { $0 }
        #expect(said.count == 1)
        #expect(said.first?.contains("goes on") == true)
        // Its thread is still held, and another one runs what comes.
        let next = Call(function: plain.function, payload: .arguments(.emptyArray))
        guard case .result(let one) = await pool.run(next).value else {
            return #expect(Bool(false), "the pool is held with the thread")
        }
        #expect(one.int == 1)
        gate.signal()
        guard case .result(let seven) = await held.value else {
            return #expect(Bool(false), "what it returned in the end is lost")
        }
        #expect(seven.int == 7)
        #expect(await pool.status().running == 0)
        await pool.stop()
    }

    @Test func `a thread that is added goes again`() async {
        let executor = ThreadExecutor(name: "some", threads: 1)
        let gate = DispatchSemaphore(value: 0)
        executor.execute { gate.wait() }
        #expect(executor.addThread())
        await withCheckedContinuation { continuation in
            executor.execute { continuation.resume() }
        }
        executor.removeThread()
        gate.signal()
        // Each of the two ends by itself or for the stop: else this would wait for ever.
        executor.finish()
    }
}
