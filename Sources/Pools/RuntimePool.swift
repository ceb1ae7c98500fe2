package import Functions
import Glibc
package import Jobs
package import Logging
package import RawJSON
package import Sockets
package import Threads

/// A thread, process or async pool: its slots, and for each runtime the way to run a call.
///
///     thread   native: threads of this server    python: threads of one worker
///     process  native: `martlet worker`          python: warm workers, one call at a time
///              command: a process a call
///     async    native: tasks on one thread       python: coroutines of one worker
///
/// It lives on an event loop's thread, with the workers' sockets.
package actor RuntimePool: JobPool {
    package nonisolated let kind: PoolKind
    private let slots: Int
    private let loop: EventLoop
    private let natives: [String: NativeFunction]
    private let nativeThreads: ThreadExecutor?
    private let commands: CommandLane?
    private var pythonFleet: WorkerFleet?
    private var nativeFleet: WorkerFleet?
    private var local = 0
    private var localReserved = 0
    /// Native calls that pay no heed and whose slots have other threads now.
    private var moved = 0
    private var onRoom: (@Sendable () -> Void)?
    /// Calls that no fleet has.
    private var running: [ObjectIdentifier: CallTicket] = [:]
    private var home: ServerHome?

    package nonisolated var unownedExecutor: UnownedSerialExecutor {
        loop.asUnownedSerialExecutor()
    }

    /// What a pool is made of.
    package struct Parts: Sendable {
        package var kind: PoolKind
        package var slots: Int
        package var loop: EventLoop
        package var spawner: ThreadExecutor
        package var children: ChildProcesses
        package var natives: [NativeFunction]
        package var python: WorkerLaunch?
        /// The command line of `martlet worker`, for the process pool.
        package var native: WorkerLaunch?
        package var rules = WorkerRules()
        /// What Python workers and commands run in; nil for none.
        package var sandbox: Sandbox?
        /// Where workers get cgroups of their own; nil for none.
        package var cgroups: CgroupFolder?
        package var kills: KernelKills
        package var logger: Logger

        package init(
            kind: PoolKind, slots: Int, loop: EventLoop, spawner: ThreadExecutor,
            children: ChildProcesses, natives: [NativeFunction], python: WorkerLaunch?,
            native: WorkerLaunch?, kills: KernelKills, logger: Logger,
        ) {
            self.kind = kind
            self.slots = slots
            self.loop = loop
            self.spawner = spawner
            self.children = children
            self.natives = natives
            self.python = python
            self.native = native
            self.kills = kills
            self.logger = logger
        }
    }

    package init(_ parts: Parts) {
        kind = parts.kind
        slots = parts.slots
        loop = parts.loop
        natives = Dictionary(
            parts.natives.map { ($0.function.name, $0) }, uniquingKeysWith: { $1 })
        let isProcess = parts.kind == .process
        nativeThreads =
            isProcess
            ? nil
            : ThreadExecutor(
                name: "\(parts.kind.rawValue)-pool",
                threads: parts.kind == .thread ? parts.slots : 1)
        commands =
            isProcess
            ? CommandLane(
                threads: ThreadExecutor(name: "commands", threads: parts.slots),
                spawner: parts.spawner, children: parts.children, rules: parts.rules,
                kills: parts.kills, sandbox: parts.sandbox, cgroups: parts.cgroups,
                poolSlots: parts.slots) : nil
        func fleet(_ launch: WorkerLaunch) -> WorkerFleet {
            var launch = launch
            launch.rules = parts.rules
            launch.cgroups = parts.cgroups
            let (size, callsPerWorker) = isProcess ? (parts.slots, 1) : (1, parts.slots)
            let crew = WorkerCrew(
                size: size, runsOneCall: callsPerWorker == 1, launch: launch, loop: parts.loop,
                spawner: parts.spawner, children: parts.children, logger: parts.logger)
            return WorkerFleet(
                size: size, callsPerWorker: callsPerWorker, isSerial: isProcess, crew: crew,
                kills: parts.kills)
        }
        if var python = parts.python {
            python.sandbox = parts.sandbox
            pythonFleet = fleet(python)
        }
        if isProcess, let native = parts.native { nativeFleet = fleet(native) }
    }

    /// Starts the Python workers now instead of with the first call.
    ///
    /// - Parameter onHello: called with every worker's greeting.
    package func startPython(onHello: @escaping @Sendable (RawJSON) -> Void) {
        pythonFleet?.onHello = onHello
        pythonFleet?.startWorkers()
    }

    /// Lets workers that read the changed files take over.
    package func reloadPython() { pythonFleet?.replaceWorkers() }

    private var fleets: [WorkerFleet] { [pythonFleet, nativeFleet].compactMap(\.self) }

    /// The workers that run the function, if it is not run here.
    private func fleet(of function: Function) -> WorkerFleet? {
        switch function.runtime {
        case .python: pythonFleet
        case .native: nativeFleet
        case .command: nil
        }
    }

    // MARK: Calls

    package nonisolated func giveBack(for function: Function, cpus: Int) {
        assumeIsolated { pool in
            if let fleet = pool.fleet(of: function) {
                fleet.giveBack(cpus)
            } else {
                pool.localReserved = max(0, pool.localReserved - min(cpus, pool.slots))
            }
        }
    }

    package nonisolated func reserve(for function: Function, cpus: Int) -> Bool {
        assumeIsolated { pool in
            if let fleet = pool.fleet(of: function) {
                return fleet.reserve(function.name, cpus)
            }
            let width = min(cpus, pool.slots)
            guard pool.local + pool.localReserved + width <= pool.slots else { return false }
            pool.localReserved += width
            return true
        }
    }

    package func whenRoom(_ body: @escaping @Sendable () -> Void) {
        onRoom = body
        for fleet in fleets { fleet.onRoom = body }
    }

    /// Tells what runs in the pool where this server is reached.
    package func announce(_ home: ServerHome) {
        self.home = home
        pythonFleet?.announce(home)
    }

    package func run(_ call: Call) async -> CallOutcome {
        let ticket = CallTicket(call)
        let box = LoopConfined(ticket)
        return await withTaskCancellationHandler {
            guard let fleet = fleet(of: call.function) else { return await runHere(ticket) }
            fleet.begin(ticket)
            let outcome = await ticket.outcome()
            fleet.ended(ticket, outcome)
            return outcome
        } onCancel: {
            loop.execute { self.assumeIsolated { $0.cancel(box.value) } }
        }
    }

    /// Runs a call in or under this server.
    private func runHere(_ ticket: CallTicket) async -> CallOutcome {
        let call = ticket.call
        let width = min(call.cpus, slots)
        localReserved = max(0, localReserved - width)
        local += width
        running[ObjectIdentifier(ticket)] = ticket
        defer {
            running[ObjectIdentifier(ticket)] = nil
            if ticket.hasMoved { moved -= 1 } else { local -= width }
        }
        return call.function.runtime == .command
            ? await runCommand(ticket) : await runNative(ticket)
    }

    /// Stops a call, which may have ended.
    private func cancel(_ ticket: CallTicket) {
        let failure = Failure(.cancelled, type: "Cancelled", message: "The job was cancelled.")
        if let fleet = fleet(of: ticket.call.function) {
            fleet.stop(ticket, as: failure)
        } else if running[ObjectIdentifier(ticket)] != nil {
            ticket.stop(as: failure)
        }
    }

    /// Runs on a thread of this server; a timeout asks the function to stop and waits for it.
    private func runNative(_ ticket: CallTicket) async -> CallOutcome {
        let call = ticket.call
        guard let native = natives[call.function.name], let nativeThreads else {
            return CallOutcome(
                .failure(
                    Failure(
                        .unavailable, type: "LookupError",
                        message: "no native function \(call.function.name)")))
        }
        let start = ContinuousClock.now
        let payload = call.payload
        let work = Task(executorPreference: nativeThreads) { () -> CallOutcome.Value in
            switch payload {
            case .arguments(let arguments):
                switch await native.run(arguments) {
                case .success(let result): return .result(result)
                case .failure(let failure): return .failure(failure)
                }
            case .items(let items, _, let spread, let onError):
                let list = RawJSON(trusted: ([0x5b] + items + [0x5d])[...])
                let chunk = await NativeChunk.run(native, list, spread: spread, onError: onError)
                return .items(
                    results: chunk.results[...], count: chunk.count, failures: chunk.failures)
            }
        }
        // The ticket keeps this, and calls it.
        ticket.stopped(by: { [unowned ticket] in
            work.cancel()
            self.insist(ticket, on: nativeThreads)
        })
        startClock(ticket)
        let value = await work.value
        ticket.timer?.cancel()
        if ticket.hasMoved { nativeThreads.removeThread() }
        let (seconds, attoseconds) = (ContinuousClock.now - start).components
        let elapsed = Double(seconds) + Double(attoseconds) * 1e-18
        if let stopping = ticket.stopping, value.wasStopped {
            return CallOutcome(.failure(stopping), seconds: elapsed)
        }
        return CallOutcome(value, seconds: elapsed)
    }

    /// A thread of this server cannot be killed: after the grace period another takes its place.
    private func insist(_ ticket: CallTicket, on threads: ThreadExecutor) {
        guard !ticket.isDeaf else { return }
        ticket.timer?.cancel()
        ticket.timer = loop.schedule(after: CallTicket.grace) {
            ticket.paysNoHeed("Its thread cannot be ended; another takes its place.")
            guard self.moved < self.slots, threads.addThread() else { return }
            self.moved += 1
            self.local -= min(ticket.call.cpus, self.slots)
            ticket.hasMoved = true
            self.onRoom?()
        }
    }

    /// Stops the call when it has run as long as it may.
    private func startClock(_ ticket: CallTicket) {
        guard let seconds = ticket.call.timeout else { return }
        ticket.timer = loop.schedule(after: .microseconds(Int64(seconds * 1_000_000))) {
            ticket.stop(as: .timeout(seconds))
        }
    }

    /// Runs a command for the call, or for each item of its chunk.
    private func runCommand(_ ticket: CallTicket) async -> CallOutcome {
        let call = ticket.call
        switch call.payload {
        case .arguments(let arguments):
            switch await runCommand(ticket, arguments) {
            case .success(let result): return CallOutcome(.result(result))
            case .failure(let failure): return CallOutcome(.failure(failure))
            }
        case .items(let items, _, let spread, let onError):
            var results: [UInt8] = []
            var failures: [Failure] = []
            var count = 0
            for item in RawJSON(trusted: ([0x5b] + items + [0x5d])[...]).elements() {
                let arguments =
                    spread ? item : RawJSON(trusted: ([0x5b] + item.bytes + [0x5d])[...])
                let outcome = await runCommand(ticket, arguments)
                if case .failure(var failure) = outcome {
                    // The whole chunk is stopped, not this item blamed.
                    if failure.reason == .cancelled || failure.reason == .lost {
                        return CallOutcome(.failure(failure))
                    }
                    failure.index = count
                    failures.append(failure)
                    if onError == .stop { break }
                }
                if count > 0 { results.append(UInt8(ascii: ",")) }
                results += (try? outcome.get())?.bytes ?? RawJSON.null.bytes
                count += 1
            }
            return CallOutcome(.items(results: results[...], count: count, failures: failures))
        }
    }

    private func runCommand(
        _ ticket: CallTicket, _ arguments: RawJSON,
    ) async -> Result<RawJSON, Failure> {
        guard let commands, let path = ticket.call.function.source else {
            return .failure(
                Failure(.unavailable, type: "LookupError", message: "The command is not there."))
        }
        // The timeout of an item before this one is that item's alone; a cancel is for all.
        if ticket.stopping?.reason == .timeout { ticket.stopping = nil }
        if let failure = ticket.stopping { return .failure(failure) }
        let process = CommandProcess()
        ticket.stopped(by: { process.end() })
        startClock(ticket)
        let outcome = await commands.run(
            path, arguments, of: ticket.call, slots: min(ticket.call.cpus, slots), home: home,
            as: process)
        process.reaped()
        ticket.timer?.cancel()
        if case .failure = outcome, let stopping = ticket.stopping { return .failure(stopping) }
        return outcome
    }

    // MARK: State and end

    package func status() -> PoolStatus {
        PoolStatus(
            kind: kind, slots: slots, running: local + fleets.reduce(0) { $0 + $1.running },
            workers: fleets.reduce(nativeThreads == nil ? 0 : (kind == .thread ? slots : 1)) {
                $0 + $1.workerCount
            })
    }

    package func stop() async {
        for ticket in running.values { ticket.stop(as: .lost) }
        for fleet in fleets { await fleet.stop() }
    }
}
