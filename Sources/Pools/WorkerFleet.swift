import CLinux
import DequeModule
import Glibc
import Jobs
import Logging
import RawJSON
import Sockets
import Threads

/// How a fleet's workers are started.
package struct WorkerLaunch: Sendable {
    package var arguments: [String]
    package var environment: [String: String]
    var rules: WorkerRules
    /// Of a process that runs one call alone.
    var limits = CallLimits()

    package init(
        arguments: [String], environment: [String: String], rules: WorkerRules = WorkerRules(),
    ) {
        self.arguments = arguments
        self.environment = environment
        self.rules = rules
    }
}

/// A number of like workers, kept alive, and the calls that wait for one.
///
/// Everything here happens on the thread of `loop`; processes are started on `spawner`, whose
/// thread must live as long as the server: the kernel kills the workers when it ends.
final class WorkerFleet {
    private let size: Int
    private let callsPerWorker: Int
    /// Whether a worker runs one call at a time, in the order in which it was given them.
    private let isSerial: Bool
    private let loop: EventLoop
    private let spawner: ThreadExecutor
    private let children: ChildProcesses
    private let kills: KernelKills
    private let logger: Logger
    private var launch: WorkerLaunch
    private var workers: [WorkerProcess] = []
    private var retiring: [WorkerProcess] = []
    private var starting = 0
    private var failedStarts = 0
    /// Waits before it starts another worker, because the last one could not be started.
    private var isPausing = false
    private var waiting = Deque<CallTicket>()
    private var reserved = 0
    private var nextNumber = 1
    private var isStopped = false
    private var isStarted = false
    /// Whoever stops the fleet, until its last worker is reaped.
    private var whenGone: UnsafeContinuation<Void, Never>?
    /// Seconds that a call of a function is expected to take: the latest long one, fading.
    private var estimates: [String: Double] = [:]

    /// Reserved or given, calls that take several slots.
    private var wideCalls = 0
    /// Calls that wait for other jobs and have lent their slots.
    private var waitingCalls = 0
    private var willTrim = false
    private var home: ServerHome?

    var onHello: ((RawJSON) -> Void)?
    /// There may be room, though no call has ended.
    var onRoom: (() -> Void)?

    init(
        size: Int, callsPerWorker: Int, isSerial: Bool, launch: WorkerLaunch, loop: EventLoop,
        spawner: ThreadExecutor, children: ChildProcesses, kills: KernelKills, logger: Logger,
    ) {
        self.size = size
        self.callsPerWorker = callsPerWorker
        self.isSerial = isSerial
        self.launch = launch
        self.loop = loop
        self.spawner = spawner
        self.children = children
        self.kills = kills
        self.logger = logger
    }

    var workerCount: Int { workers.count + retiring.count }
    /// Slots of the calls given to the fleet and not ended, without those that are lent.
    private(set) var running = 0
    var slots: Int { size * callsPerWorker }

    // MARK: Calls

    /// Takes a place for a call that will come by `run`; false when all is busy.
    func reserve(_ function: String, _ cpus: Int) -> Bool {
        let width = width(cpus)
        let load = running + reserved
        guard load + width <= slots || width == 1 && load < slots + prefetch(function) else {
            return false
        }
        reserved += width
        if width > 1 { wideCalls += 1 }
        return true
    }

    func giveBack(_ cpus: Int) {
        reserved = max(0, reserved - width(cpus))
        if width(cpus) > 1 { wideCalls = max(0, wideCalls - 1) }
    }

    /// Slots of a call; a fleet that is smaller than when the job came gives it all.
    private func width(_ cpus: Int) -> Int { min(cpus, slots) }

    /// How many calls more than it can run the fleet takes, so that no worker idles between two
    /// short ones: a few milliseconds of work for each worker that is not in a long call.
    private func prefetch(_ function: String) -> Int {
        guard isSerial, wideCalls == 0, let seconds = estimates[function],
            seconds < Self.short
        else { return 0 }
        let each = Int(min(Double(Self.lineLimit - 1), 2 * Self.short / max(seconds, 1e-5)))
        return each * workers.count(where: takesAnother)
    }

    /// Seconds up to which a call is worth waiting behind.
    private static let short = 0.002
    /// Calls given to one worker that runs one at a time.
    private static let lineLimit = 17

    /// Whether a call may be given to the worker now.
    private func takesAnother(_ worker: WorkerProcess) -> Bool {
        guard worker.isReady, !worker.isRetiring, !worker.isDoomed, !worker.hasExited else {
            return false
        }
        if !isSerial { return worker.tickets.count - worker.waits < callsPerWorker }
        if worker.tickets.isEmpty { return true }
        guard worker.waits == 0 else { return false }
        if let most = launch.rules.maxCalls, worker.answered + worker.tickets.count >= most {
            return false
        }
        // Behind a call that is, or turns out to be, a long one nobody is made to wait.
        let isSoonFree = loop.now - worker.headSince < .milliseconds(5)
        return worker.longCalls == 0 && isSoonFree && worker.tickets.count < Self.lineLimit
    }

    func run(_ ticket: CallTicket) async -> CallOutcome {
        let width = width(ticket.call.cpus)
        reserved = max(0, reserved - width)
        running += width
        startWorkers()
        place(ticket)
        let outcome = await ticket.outcome()
        if width > 1 { wideCalls = max(0, wideCalls - 1) }
        if ticket.isWaiting {
            waitHasEnded()
        } else {
            running -= width
        }
        note(outcome, of: ticket)
        return outcome
    }

    private func note(_ outcome: CallOutcome, of ticket: CallTicket) {
        let name = ticket.call.function.name
        // All functions of the clients go by this name: nothing is known of the next one.
        if name == "martlet.call" { return }
        let faded = (estimates[name] ?? 0) * 0.75 + outcome.seconds * 0.25
        estimates[name] = max(outcome.seconds, faded)
    }

    /// Gives the call to a worker, or lets it wait for one behind those that wait already.
    private func place(_ ticket: CallTicket) {
        waiting.append(ticket)
        placeWaiting()
    }

    /// Gives the calls that wait to the workers that have room.
    private func placeWaiting() {
        while let next = waiting.first, give(next) { waiting.removeFirst() }
    }

    /// Gives the call to the worker with the fewest; false when none has room.
    private func give(_ ticket: CallTicket) -> Bool {
        var chosen: WorkerProcess?
        // A worker started for a call that waits is no slot more when that goes on.
        let active = workers.count { !$0.tickets.isEmpty && $0.waits == 0 }
        for worker in workers where takesAnother(worker) {
            if isSerial, worker.tickets.isEmpty, active >= size { continue }
            if chosen.map({ worker.tickets.count < $0.tickets.count }) ?? true { chosen = worker }
        }
        guard let chosen else { return false }
        ticket.isLong = (estimates[ticket.call.function.name] ?? 1) >= Self.short
        chosen.send(ticket, number: nextNumber)
        nextNumber += 1
        startClock(isSerial ? chosen.first : ticket)
        return true
    }

    /// Starts the clock of a call that now runs.
    private func startClock(_ ticket: CallTicket?) {
        guard let ticket, ticket.timer == nil, let seconds = ticket.call.timeout else { return }
        ticket.timer = loop.schedule(after: .microseconds(Int64(seconds * 1_000_000))) {
            self.stop(ticket, as: .timeout(seconds))
        }
    }

    /// Stops a call; it ends with `failure` when nothing of it runs any more.
    func stop(_ ticket: CallTicket, as failure: Failure) {
        if let index = waiting.firstIndex(where: { $0 === ticket }) {
            waiting.remove(at: index)
            ticket.fail(failure)
            return
        }
        guard ticket.stopping == nil,
            let worker = (workers + retiring).first(where: { worker in
                worker.tickets[ticket.number] === ticket
            })
        else { return }
        ticket.stopping = failure
        if !isSerial {
            worker.cancel(ticket)
        } else if worker.first === ticket {
            terminate(worker)
        }
        // Else it is behind another call; `answered` ends it when its turn comes.
    }

    /// A polite signal, a grace period, then the end.
    private func terminate(_ worker: WorkerProcess) {
        worker.isDoomed = true
        worker.kill(SIGTERM)
        loop.schedule(after: .milliseconds(1000)) { worker.kill(SIGKILL) }
    }

    private func answered(_ worker: WorkerProcess, _ ticket: CallTicket, _ outcome: CallOutcome) {
        if let failure = ticket.stopping, case .failure(let answer) = outcome.value,
            answer.reason == .cancelled
        {
            ticket.fail(failure)
        } else {
            ticket.finish(outcome.blaming(worker.pid))
        }
        recycleIfWorn(worker)
        if isSerial, let next = worker.first {
            if next.stopping != nil { terminate(worker) }
            startClock(next)
        }
        placeWaiting()
    }

    // MARK: Calls that wait for other jobs

    /// Calls that may wait for other jobs at once.
    ///
    /// Each keeps its process, or its thread of one. One more fails, so that those that wait for it
    /// come to an end.
    private var waitLimit: Int { isSerial ? 16 * size + 64 : max(1000, slots) }

    /// A call lends its slots while it waits for another job, which may need them.
    private func waits(_ worker: WorkerProcess, _ ticket: CallTicket, _ begins: Bool) {
        if begins, isSerial {
            // It may be one of these that the call waits for.
            for ticket in worker.takeBack().reversed() { waiting.prepend(ticket) }
        }
        guard begins != ticket.isWaiting else { return }
        if begins, waitingCalls >= waitLimit {
            stop(ticket, as: .tooManyWaits(waitLimit))
            return
        }
        worker.setWaiting(ticket, begins)
        running += begins ? -width(ticket.call.cpus) : width(ticket.call.cpus)
        if begins {
            waitingCalls += 1
            if !waiting.isEmpty { startWorkers() }
            placeWaiting()
            onRoom?()
        } else {
            waitHasEnded()
        }
    }

    private func waitHasEnded() {
        waitingCalls -= 1
        trimLater()
    }

    private func trimLater() {
        guard !willTrim, workers.count > size + waitingCalls else { return }
        willTrim = true
        loop.schedule(after: Self.trimTime) {
            self.willTrim = false
            self.trim()
        }
    }

    /// How long a worker that was started for a call that waits stays for the next one.
    private static let trimTime = Duration.seconds(10)

    /// Ends idle workers that are more than is needed.
    private func trim() {
        guard !isStopped else { return }
        for worker in workers where workers.count > size + waitingCalls {
            guard worker.isReady, worker.tickets.isEmpty, !worker.hasExited else { continue }
            workers.removeAll { $0 === worker }
            retiring.append(worker)
            worker.retire()
        }
        trimLater()  // those that are busy
    }

    /// Tells the workers where this server is reached.
    func announce(_ home: ServerHome) {
        self.home = home
        for worker in workers + retiring where worker.isReady { worker.tell(home) }
    }

    /// Replaces a worker that has run as many calls, or has as much memory, as one may.
    private func recycleIfWorn(_ worker: WorkerProcess) {
        let rules = launch.rules
        var isWorn = rules.maxCalls.map { worker.answered >= $0 } ?? false
        if let most = rules.maxMemoryBytes, !isWorn {
            isWorn = ProcessMemory.residentBytes(of: worker.pid) > most
        }
        guard isWorn, let index = workers.firstIndex(where: { $0 === worker }) else { return }
        workers.remove(at: index)
        retiring.append(worker)
        worker.retire()
        startWorkers()
    }

    // MARK: Workers

    /// Starts what is missing of the fleet.
    func startWorkers() {
        isStarted = true
        guard !isStopped, !isPausing else { return }
        while workers.count + starting < size + (isSerial ? waitingCalls : 0) {
            startOne()
        }
    }

    private func startOne() {
        starting += 1
        let (launch, children) = (launch, children)
        let box = LoopConfined(self)
        spawner.execute {
            let started = spawnWorker(launch, children)
            box.value.loop.execute { box.value.adopt(started, of: launch) }
        }
    }

    private func adopt(_ started: Result<StartedWorker, SocketError>, of: WorkerLaunch) {
        starting -= 1
        do throws(SocketError) {
            let worker = try WorkerProcess(
                try started.get(), runsOneCall: callsPerWorker == 1, loop: loop,
                children: children)
            worker.onHello = { [weak self, unowned worker] hello in self?.greeted(hello, worker) }
            worker.onAnswer = { [weak self, unowned worker] ticket, outcome in
                self?.answered(worker, ticket, outcome)
            }
            worker.onWait = { [weak self, unowned worker] ticket, begins in
                self?.waits(worker, ticket, begins)
            }
            worker.onExit = { [weak self, unowned worker] end in
                self?.swept { $0.ended(worker, end) }
            }
            workers.append(worker)
            if isStopped { worker.kill(SIGKILL) }
        } catch {
            logger.error("cannot start a worker", metadata: ["error": "\(error)"])
            startFailed("\(error)")
        }
    }

    private func greeted(_ hello: RawJSON, _ worker: WorkerProcess) {
        failedStarts = 0
        if let home { worker.tell(home) }
        onHello?(hello)
        placeWaiting()
    }

    /// Goes on when nothing is left of what a worker that has ended had started.
    private func swept(_ body: @escaping (WorkerFleet) -> Void) {
        let (loop, children) = (loop, children)
        let box = LoopConfined((fleet: self, body: body))
        spawner.execute {
            children.sweep()
            loop.execute { box.value.body(box.value.fleet) }
        }
    }

    private func ended(_ worker: WorkerProcess, _ end: ProcessEnd) {
        let tickets = worker.tickets.values.sorted { $0.number < $1.number }
        workers.removeAll { $0 === worker }
        retiring.removeAll { $0 === worker }
        // Of a worker that runs one call at a time only the first was running: the others are
        // handed on, first in line, with no attempt counted.
        // So is the first one that has begun when the call to be stopped had just ended by itself.
        let isSpared = worker.isDoomed && tickets.first?.stopping == nil
        let ran = isSerial ? tickets.prefix(isSpared ? 0 : 1) : tickets[...]
        for ticket in ran {
            var failure = ticket.stopping ?? end.failure(within: ticket.call.limits, kills)
            failure.worker = Int(worker.pid)
            ticket.fail(failure)
        }
        for ticket in tickets.dropFirst(ran.count).reversed() {
            if let failure = ticket.stopping {
                ticket.fail(failure)  // it was cancelled before it began
            } else {
                waiting.prepend(ticket)
            }
        }
        guard !isStopped else { return noteGone() }
        if !worker.isRetiring {
            logger.warning(
                "worker ended", metadata: ["pid": "\(worker.pid)", "how": "\(end.failure.message)"])
        }
        // One that was told to go before it was ready says nothing of the next one.
        guard worker.isReady || worker.isRetiring else { return startFailed(end.failure.message) }
        startWorkers()
        placeWaiting()
    }

    /// Tries again after a growing pause; calls that wait are told after the third failure.
    private func startFailed(_ why: String) {
        guard !isStopped else { return noteGone() }
        failedStarts += 1
        if failedStarts >= 3 {
            while let ticket = waiting.popFirst() {
                ticket.fail(
                    Failure(
                        .unavailable, type: "WorkerStartError",
                        message: "No worker could be started: \(why)"))
            }
        }
        guard !isPausing else { return }
        isPausing = true
        loop.schedule(after: .milliseconds(100 << min(failedStarts, 7))) {
            self.isPausing = false
            self.startWorkers()
        }
    }

    /// Lets new workers take over; the old ones finish the calls they have.
    func replaceWorkers() {
        guard isStarted else { return }
        failedStarts = 0
        isPausing = false
        retiring += workers
        workers = []
        for worker in retiring { worker.retire() }
        startWorkers()
    }

    /// Kills all workers and waits until they are reaped, a few seconds at most.
    func stop() async {
        killAll()
        await withUnsafeContinuation { continuation in
            whenGone = continuation
            // A process in an uninterruptible sleep does not end by a signal.
            loop.schedule(after: .seconds(3)) { self.leave() }
            noteGone()
        }
    }

    private func noteGone() {
        if workers.isEmpty, retiring.isEmpty, starting == 0 { leave() }
    }

    private func leave() {
        let waiting = whenGone
        whenGone = nil
        waiting?.resume()
    }

    private func killAll() {
        isStopped = true
        while let ticket = waiting.popFirst() { ticket.fail(.lost) }
        for worker in workers + retiring {
            for ticket in worker.tickets.values { ticket.stopping = ticket.stopping ?? .lost }
            worker.kill(SIGKILL)
        }
    }
}

/// Carries a value that belongs to a loop's thread through another thread, which does not use it.
struct LoopConfined<Value>: @unchecked Sendable {
    let value: Value

    init(_ value: Value) { self.value = value }
}

extension Failure {
    static func tooManyWaits(_ limit: Int) -> Failure {
        Failure(
            .limit, type: "TooManyWaits",
            message: "\(limit) calls of the pool wait for other jobs already, which is the most.")
    }

    static let lost = Failure(.lost, type: "Lost", message: "The server stopped during the call.")
}

/// A process with our ends of its channel and of its standard streams.
struct StartedWorker {
    let pid: pid_t
    let channel: Int32
    let output: Int32
    let error: Int32
}

/// Starts a worker with one end of a socket pair as descriptor 3.
private func spawnWorker(
    _ launch: WorkerLaunch, _ children: ChildProcesses,
) -> Result<StartedWorker, SocketError> {
    var pair: [Int32] = [-1, -1]
    var output: [Int32] = [-1, -1]
    var error: [Int32] = [-1, -1]
    let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    var failure = 0 as Int32
    if socketpair(AF_UNIX, type, 0, &pair) != 0 || clinux_pipe(&output) != 0
        || clinux_pipe(&error) != 0
    {
        failure = errno
    }
    var pid: pid_t = -failure
    if failure == 0 {
        _ = fcntl(pair[0], F_SETFL, O_NONBLOCK)
        pid = spawnProcess(
            launch, input: -1, output: output[1], error: error[1], channel: pair[1], in: children)
    }
    for theirs in [pair[1], output[1], error[1]] where theirs >= 0 { close(theirs) }
    guard pid > 0 else {
        for ours in [pair[0], output[0], error[0]] where ours >= 0 { close(ours) }
        return .failure(.system("start \(launch.arguments.first ?? "")", -pid))
    }
    return .success(
        StartedWorker(pid: pid, channel: pair[0], output: output[0], error: error[0]))
}

/// Starts a process in a group of its own; its id, or `-errno`.
func spawnProcess(
    _ launch: WorkerLaunch, input: Int32, output: Int32, error: Int32 = 2, channel: Int32,
    in children: ChildProcesses,
) -> pid_t {
    let arguments = launch.arguments.map { strdup($0) } + [nil]
    let environment = launch.environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for text in arguments + environment { free(text) } }
    return arguments.withUnsafeBufferPointer { arguments in
        environment.withUnsafeBufferPointer { environment in
            guard let argv = arguments.baseAddress, let envp = environment.baseAddress else {
                return -EINVAL
            }
            var spawn = clinux_spawn(
                path: argv[0], arguments: argv, environment: envp, directory: nil, input: input,
                output: output, error: error, channel: channel,
                memory_bytes: Int64(launch.limits.memoryBytes ?? 0),
                cpu_seconds: Int64(launch.limits.cpuSeconds ?? 0),
                open_files: Int64(launch.rules.openFiles ?? 0),
                processes: Int64(launch.rules.processes ?? 0))
            let pid = clinux_spawn(&spawn)
            if pid > 0 { children.add(pid) }
            return pid
        }
    }
}
