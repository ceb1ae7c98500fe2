import Foundation
import Glibc
import Jobs
import Logging
import RawJSON
import Sockets
import Synchronization
import Threads

@testable import Pools

/// A fleet whose workers have plain folders for cgroups.
///
/// A worker is a shell script that speaks the worker protocol; it answers each call with its process
/// id and with what is in its folder's `memory.max`.
final class FleetUnderTest: Sendable {
    /// Where processes are started and bounds written; a test may hold it up.
    let spawner = ThreadExecutor(name: "spawner", threads: 1)
    /// The numbers of the calls that have ended, in the order of their ends.
    let ended = Mutex<[Int]>([])
    private let begun = Atomic(0)
    private let loop: EventLoop
    private let fleet: LoopConfined<WorkerFleet>
    private let crew: LoopConfined<WorkerCrew>
    private let size: Int
    private let folder: String

    struct Answer: Sendable {
        let worker: pid_t
        /// What was in `memory.max` when the call began; nil for no bound.
        let bound: Int?
    }

    struct NoResult: Error {}

    private static let script = #"""
        printf '{"hello":{"protocol":1,"functions":[],"broken":[]}}\n' >&3
        while read -r line <&3; do
            number=${line#*:}
            number=${number%%,*}
            bound=
            read -r bound < "$FOLDER/$$/memory.max"
            printf '{"call":%s,"seconds":0.1,"result":[%s,"%s"]}\n' "$number" $$ "$bound" >&3
        done
        """#

    /// - Parameters:
    ///   - size: workers.
    ///   - failures: what the first starts fail with.
    ///   - patience: how long a call waits for descriptors or processes to be had.
    /// - Throws: `SocketError.system` when there can be no loop.
    init(
        size: Int, failing failures: [SocketError] = [], patience: Duration = .seconds(60),
    ) throws {
        let left = Mutex(failures[...])
        self.size = size
        loop = try EventLoop(name: "fleet")
        let folder = FileManager.default.temporaryDirectory.path + "/martlet-\(UUID().uuidString)"
        self.folder = folder
        let crew = WorkerCrew(
            size: size, runsOneCall: true,
            launch: WorkerLaunch(
                arguments: ["/bin/sh", "-c", Self.script],
                environment: ["PATH": "/bin", "FOLDER": folder]),
            loop: loop, spawner: spawner, children: ChildProcesses(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            patience: patience,
            start: { launch, children in
                if let failure = left.withLock({ $0.popFirst() }) { return .failure(failure) }
                return spawnWorker(launch, children).map {
                    $0.given(Self.cgroup(of: $0.pid, in: folder))
                }
            })
        self.crew = LoopConfined(crew)
        fleet = LoopConfined(
            WorkerFleet(
                size: size, callsPerWorker: 1, isSerial: true, crew: crew, kills: KernelKills()))
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    /// What the kernel would make.
    private static func cgroup(of worker: pid_t, in folder: String) -> Cgroup {
        let path = "\(folder)/\(worker)"
        try? FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true)
        for (name, text) in [("memory.max", "max\n"), ("memory.stat", "anon 0\nfile 0\n")] {
            try? Data(text.utf8).write(to: URL(fileURLWithPath: "\(path)/\(name)"))
        }
        return Cgroup(path: path)
    }

    /// Has a worker hold so much memory, as the kernel would say.
    func give(_ worker: pid_t, bytes: Int) throws {
        try "file 7\nanon \(bytes)\n".write(
            toFile: "\(folder)/\(worker)/memory.stat", atomically: true, encoding: .utf8)
    }

    /// Starts the workers and has each answer a call; they are in the order of the crew's.
    func start() async throws -> [pid_t] {
        await onLoop { $0.fill() }
        try await until { await onLoop { $0.workers.count(where: \.isReady) } == size }
        var workers: [pid_t] = []
        for call in begin([Int?](repeating: nil, count: size)) {
            workers.append(try await call.value.worker)
        }
        return workers
    }

    func begin(within memoryBytes: Int? = nil) -> Task<Answer, any Error> {
        begin([memoryBytes])[0]
    }

    /// Begins calls, each with its bound, in one round of the loop.
    func begin(_ bounds: [Int?]) -> [Task<Answer, any Error>] {
        let function = Function(
            name: "look", runtime: .python, pool: .process, pools: [.process])
        let tickets = bounds.map { bound in
            var call = Call(function: function, payload: .arguments(.emptyArray))
            call.limits = CallLimits(memoryBytes: bound)
            return LoopConfined(CallTicket(call))
        }
        loop.execute { for ticket in tickets { self.fleet.value.begin(ticket.value) } }
        return tickets.map { ticket in
            let number = begun.wrappingAdd(1, ordering: .relaxed).newValue
            // At once, so that they wait in this order.
            return Task.immediate { try await self.answer(to: ticket, number) }
        }
    }

    private func answer(
        to ticket: LoopConfined<CallTicket>, _ number: Int,
    ) async throws -> Answer {
        let outcome = await withTaskCancellationHandler {
            await Task(executorPreference: loop) {
                let outcome = await ticket.value.outcome()
                self.fleet.value.ended(ticket.value, outcome)
                self.ended.withLock { $0.append(number) }
                return outcome
            }.value
        } onCancel: {
            loop.execute {
                self.fleet.value.stop(
                    ticket.value,
                    as: Failure(.cancelled, type: "Cancelled", message: "It was cancelled."))
            }
        }
        guard case .result(let result) = outcome.value,
            let worker = result.elements().first?.int,
            let bound = result.elements().last?.string
        else { throw NoResult() }
        // A kernel's file takes what is written for the whole; a plain one keeps what was behind it.
        return Answer(
            worker: pid_t(worker), bound: bound.hasPrefix("max") ? nil : Int(bound))
    }

    /// How many workers take calls, or will when they are ready.
    func count() async -> Int { await onLoop { $0.workers.count } }

    func stop() async {
        await Task(executorPreference: loop) { await self.fleet.value.stop() }.value
    }

    @discardableResult
    private func onLoop<Value: Sendable>(
        _ body: @escaping @Sendable (WorkerCrew) -> Value,
    ) async -> Value {
        await withCheckedContinuation { continuation in
            loop.execute { continuation.resume(returning: body(self.crew.value)) }
        }
    }
}

extension StartedWorker {
    /// The same in another cgroup.
    fileprivate func given(_ cgroup: Cgroup) -> StartedWorker {
        StartedWorker(
            pid: pid, channel: channel, output: output, error: error, isSandboxed: isSandboxed,
            cgroup: cgroup)
    }
}
