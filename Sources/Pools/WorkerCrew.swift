import Glibc
import Jobs
import Logging
import RawJSON
import Sockets
import Threads

/// Keeps a number of like workers alive: starts them, replaces those that have ended or are worn,
/// and ends them.
///
/// Everything here happens on the thread of `loop`; processes are started on `spawner`, whose
/// thread must live as long as the server: the kernel kills the workers when it ends.
final class WorkerCrew {
    let loop: EventLoop
    private let launch: WorkerLaunch
    private let runsOneCall: Bool
    private let spawner: ThreadExecutor
    private let children: ChildProcesses
    private let logger: Logger
    private let start: Start
    /// Those that take calls, when they are ready.
    private(set) var workers: [WorkerProcess] = []
    /// Those that finish the calls they have.
    private var retiring: [WorkerProcess] = []
    private var starting = 0
    private var failedStarts = 0
    private var shortage: Shortage
    /// Waits before it starts another worker, because the last one could not be started.
    private var isPausing = false
    private var isStarted = false
    private var isStopped = false
    private var willTrim = false
    /// Whoever stops the crew, until its last worker is reaped.
    private var whenGone: UnsafeContinuation<Void, Never>?

    /// How many workers there are to be; `fill` starts those that are missing.
    var size: Int

    /// A worker has been started, but may not be ready.
    var onStart: ((WorkerProcess) -> Void)?
    /// A worker is ready.
    var onHello: ((WorkerProcess, RawJSON) -> Void)?
    /// A worker has ended, with all that it had started.
    var onEnd: ((WorkerProcess, ProcessEnd) -> Void)?
    /// For the third time in a row, or more, no worker could be started.
    var onFailure: ((_ why: String) -> Void)?

    /// Starts a worker; it blocks, on the thread of the starts.
    typealias Start =
        @Sendable (WorkerLaunch, ChildProcesses) -> Result<StartedWorker, SocketError>

    /// - Parameters:
    ///   - size: workers; none is started before `fill`.
    ///   - runsOneCall: whether what a worker prints is of the first of its calls.
    ///   - launch: how they are started.
    ///   - loop: on whose thread everything happens.
    ///   - spawner: starts the processes.
    ///   - children: of the server, to which they are added.
    ///   - logger: told of workers that end or cannot be started.
    ///   - patience: how long what waits for a worker waits while none can be started for want of
    ///     descriptors or processes.
    ///   - start: how one is started.
    init(
        size: Int, runsOneCall: Bool, launch: WorkerLaunch, loop: EventLoop,
        spawner: ThreadExecutor, children: ChildProcesses, logger: Logger,
        patience: Duration = Shortage.patience, start: @escaping Start = spawnWorker,
    ) {
        self.size = size
        self.runsOneCall = runsOneCall
        self.launch = launch
        self.loop = loop
        self.spawner = spawner
        self.children = children
        self.logger = logger
        shortage = Shortage(patience: patience)
        self.start = start
    }

    var rules: WorkerRules { launch.rules }

    /// Workers that are on their way: being started, to be, or not ready yet.
    var coming: Int { max(0, size - workers.count { $0.isReady && !$0.hasExited }) }

    /// With those that finish the calls they have.
    var all: [WorkerProcess] { workers + retiring }

    // MARK: Starting

    /// Starts the workers that are missing.
    func fill() {
        isStarted = true
        guard !isStopped, !isPausing else { return }
        while workers.count + starting < size { startOne() }
    }

    private func startOne() {
        starting += 1
        let (launch, children, start) = (launch, children, start)
        let box = LoopConfined(self)
        spawner.execute {
            let started = start(launch, children)
            box.value.loop.execute { box.value.adopt(started) }
        }
    }

    private func adopt(_ started: Result<StartedWorker, SocketError>) {
        starting -= 1
        do throws(SocketError) {
            let worker = try WorkerProcess(
                try started.get(), runsOneCall: runsOneCall, loop: loop, spawner: spawner,
                children: children)
            worker.onHello = { [weak self, unowned worker] hello in
                self?.failedStarts = 0
                self?.shortage.end()
                // Of one that is to go already the functions may be those of before a change.
                if !worker.isRetiring { self?.onHello?(worker, hello) }
            }
            worker.onExit = { [weak self, unowned worker] end in
                self?.swept { $0.ended(worker, end) }
            }
            onStart?(worker)
            workers.append(worker)
            if isStopped { worker.kill(SIGKILL) }
        } catch {
            // What comes again and again is said once.
            if !error.isShortage || failedStarts == 0 {
                logger.error("cannot start a worker", metadata: ["error": "\(error)"])
            }
            startFailed("\(error)", willPass: shortage.isToPass(after: error))
        }
    }

    /// Tries again after a growing pause.
    ///
    /// - Parameters:
    ///   - why: for the jobs that fail of it.
    ///   - willPass: whether what waits for a worker is to go on waiting.
    private func startFailed(_ why: String, willPass: Bool = false) {
        guard !isStopped else { return noteGone() }
        failedStarts += 1
        if willPass { failedStarts = min(failedStarts, 2) }
        if failedStarts >= 3 { onFailure?(why) }
        guard !isPausing else { return }
        isPausing = true
        loop.schedule(after: .milliseconds(100 << min(failedStarts, 7))) {
            self.isPausing = false
            self.fill()
        }
    }

    // MARK: Ends

    /// Goes on when nothing is left of what a worker that has ended had started.
    private func swept(_ body: @escaping (WorkerCrew) -> Void) {
        let (loop, spawner, children) = (loop, spawner, children)
        let box = LoopConfined((crew: self, body: body))
        spawner.execute {
            children.sweep(on: spawner)
            loop.execute { box.value.body(box.value.crew) }
        }
    }

    private func ended(_ worker: WorkerProcess, _ end: ProcessEnd) {
        workers.removeAll { $0 === worker }
        retiring.removeAll { $0 === worker }
        onEnd?(worker, end)
        guard !isStopped else { return noteGone() }
        if !worker.isRetiring {
            logger.warning(
                "worker ended", metadata: ["pid": "\(worker.pid)", "how": "\(end.failure.message)"])
        }
        // One that was told to go before it was ready says nothing of the next one.
        guard worker.isReady || worker.isRetiring else { return startFailed(end.failure.message) }
        fill()
    }

    /// Takes a worker out: it ends when it has finished the calls it has.
    private func retire(_ worker: WorkerProcess) {
        workers.removeAll { $0 === worker }
        retiring.append(worker)
        worker.retire()
    }

    /// Lets another worker take over from one that does not stop its calls.
    func replace(_ worker: WorkerProcess) {
        guard workers.contains(where: { $0 === worker }) else { return }
        logger.warning("a call pays no heed", metadata: ["worker": "\(worker.pid)"])
        renew(worker)
    }

    /// Lets a new worker take over from one, which finishes the calls it has.
    func renew(_ worker: WorkerProcess) {
        retire(worker)
        fill()
    }

    /// Replaces a worker that has run as many calls, or has as much memory, as one may.
    func retireIfWorn(_ worker: WorkerProcess) {
        guard workers.contains(where: { $0 === worker }) else { return }
        var isWorn = rules.maxCalls.map { worker.answered >= $0 } ?? false
        if let most = rules.maxMemoryBytes, !isWorn {
            isWorn = worker.residentBytes > most
        }
        if isWorn { renew(worker) }
    }

    /// Lets new workers take over; the old ones finish the calls they have.
    func replaceAll() {
        guard isStarted else { return }
        failedStarts = 0
        isPausing = false
        for worker in workers { retire(worker) }
        fill()
    }

    /// How long a worker that is more than is needed stays for the next call.
    private static let trimTime = Duration.seconds(10)

    /// Ends, after a while, the idle ones of those that are more than `size`.
    func trimLater() {
        guard !willTrim, workers.count > size else { return }
        willTrim = true
        loop.schedule(after: Self.trimTime) {
            self.willTrim = false
            self.trim()
        }
    }

    private func trim() {
        guard !isStopped else { return }
        for worker in workers where workers.count > size {
            guard worker.isReady, worker.tickets.isEmpty, !worker.hasExited else { continue }
            retire(worker)
        }
        trimLater()  // those that are busy
    }

    // MARK: Stopping

    /// Kills all workers and waits until they are reaped, a few seconds at most.
    func stop() async {
        isStopped = true
        for worker in all { worker.kill(SIGKILL) }
        await withUnsafeContinuation { continuation in
            whenGone = continuation
            // A process in an uninterruptible sleep does not end by a signal.
            loop.schedule(after: .seconds(3)) { self.leave() }
            noteGone()
        }
    }

    private func noteGone() {
        if all.isEmpty, starting == 0 { leave() }
    }

    private func leave() {
        let waiting = whenGone
        whenGone = nil
        waiting?.resume()
    }
}

/// Carries a value that belongs to a loop's thread through another thread, which does not use it.
struct LoopConfined<Value>: @unchecked Sendable {
    let value: Value

    init(_ value: Value) { self.value = value }
}
