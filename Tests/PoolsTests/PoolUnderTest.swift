import Foundation
import Functions
import Glibc
import Jobs
import Logging
import Pools
import RawJSON
import Sockets
import Synchronization
import Testing
import Threads

/// A process pool whose workers are a shell script that speaks the worker protocol.
///
/// The function `pid` returns the worker's process id, `die` kills the worker, `hang` does not
/// return, `await` waits for a job whose end is that of a file, `mumble` answers with what is no
/// JSON.
struct PoolUnderTest {
    let pool: RuntimePool
    /// Where processes are started and swept; a test may hold it up.
    let spawner = ThreadExecutor(name: "spawner", threads: 1)
    let loop: EventLoop
    /// What calls of `await` wait for the end of.
    private let gate = GateFile()

    private static let script = #"""
        printf '{"hello":{"protocol":1,"functions":[],"broken":[]}}\n' >&3
        while read -r line <&3; do
            number=${line#*:}
            number=${number%%,*}
            case $line in
                *'"die"'*) kill -9 $$ ;;
                *'"hang"'*) sleep 600 ;;
                *'"mumble"'*)
                    printf '{"call":%s,"result":[}\n' "$number" >&3
                    continue ;;
                *'"await"'*)
                    printf '{"wait":%s}\n' "$number" >&3
                    while [ -e "$GATE" ]; do sleep 0.02; done
                    printf '{"go_on":%s}\n' "$number" >&3
                    while read -r line <&3; do
                        case $line in *'"forget"'*) break ;; esac
                    done ;;
            esac
            printf '{"call":%s,"seconds":0.1,"result":%s}\n' "$number" $$ >&3
        done
        """#

    init(slots: Int) throws {
        loop = try EventLoop(name: "pool")
        try Data().write(to: URL(fileURLWithPath: gate.path))
        pool = RuntimePool(
            RuntimePool.Parts(
                kind: .process, slots: slots, loop: loop, spawner: spawner,
                children: ChildProcesses(), natives: [], python: nil,
                native: WorkerLaunch(
                    arguments: ["/bin/sh", "-c", Self.script],
                    environment: ["PATH": "/bin", "GATE": gate.path]),
                kills: KernelKills(),
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }))
    }

    func run(_ function: String, cpus: Int = 1) async -> CallOutcome.Value {
        var call = Call(function: Self.function(function), payload: .arguments(.emptyArray))
        call.cpus = cpus
        return await pool.run(call).value
    }

    static func function(_ name: String) -> Function {
        Function(name: name, runtime: .native, pool: .process, pools: [.process])
    }

    /// Whether there is a place for a call now; takes it.
    func reserve(cpus: Int = 1) async -> Bool {
        await onLoop { pool in pool.reserve(for: Self.function("pid"), cpus: cpus) }
    }

    func giveBack(cpus: Int = 1) async {
        _ = await onLoop { pool in
            pool.giveBack(for: Self.function("pid"), cpus: cpus)
            return true
        }
    }

    private func onLoop(_ body: @escaping @Sendable (RuntimePool) -> Bool) async -> Bool {
        await withCheckedContinuation { continuation in
            loop.execute { [pool] in continuation.resume(returning: body(pool)) }
        }
    }

    func openGate() throws { try FileManager.default.removeItem(atPath: gate.path) }

    /// The process id of the worker that took a call.
    func workerID() async throws -> pid_t {
        guard case .result(let result) = await run("pid"), let id = result.int else {
            throw NoResult()
        }
        return pid_t(id)
    }

    struct NoResult: Error {}

    /// Waits until the worker is reaped.
    func gone(_ worker: pid_t) async throws {
        try await until { kill(worker, 0) != 0 }
        await settle()
    }

    /// Waits until the loop has done with what was queued.
    func settle() async {
        await withCheckedContinuation { continuation in loop.execute { continuation.resume() } }
    }
}

/// The path of a file that goes with its test.
private final class GateFile: Sendable {
    let path = FileManager.default.temporaryDirectory.path + "/martlet-gate-\(UUID().uuidString)"

    deinit { unlink(path) }  // the test may have removed it
}

/// Waits for a condition; the deadline is for a loaded machine.
func until(_ condition: () async -> Bool) async throws {
    for _ in 0..<3000 {
        if await condition() { return }
        try await Task.sleep(for: .milliseconds(10))
    }
    Issue.record("the condition did not come true in 30 s")
}
