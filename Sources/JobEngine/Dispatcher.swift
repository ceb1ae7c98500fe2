import Functions
import Jobs
import Logging
import RawJSON
import Sockets
import Synchronization

/// Starts jobs when their pool has room, the highest priority first, then the oldest; but before
/// those what a running job has submitted, the newest first, because that job may wait for it and
/// keep its worker meanwhile.
///
///     JobQueue ── add ──► ready jobs, by pool ── a pool has room ──► attempt ──► store, waiters
///                            ▲      ▲
///      store, when few ──────┘      └── a running map's wish for another chunk
///
/// Only so many ready jobs are kept in memory; the rest waits in the store. It lives on the
/// engine's event loop, as the pools do.
actor Dispatcher {
    let store: any JobStore
    let pools: PoolTable<(any JobPool)?>
    let slots: [PoolKind: Int]
    let catalogue: FunctionCatalogue
    let waiters: JobWaiters
    let savedItems: JobWaiters
    let live: LiveJobs
    let open: OpenJobs
    let uploads: OpenUploads
    let events: EventFeed
    let progressEvents: ProgressEvents
    let journal: JobJournal
    var metrics = EngineMetrics()
    let traces: JobTraces
    let settings: EngineSettings
    let loop: EventLoop
    let logger: Logger

    var ready: ReadyJobs
    /// When the store is looked into for delayed jobs next.
    private var nextWake: [PoolKind: (due: Timestamp, timer: LoopTimer)] = [:]
    private var overflowed = PoolTable { _ in false }
    private var refilling = PoolTable { _ in false }
    /// Whom the pool had no room for when it was looked at last, by its sequence number.
    private var refused = PoolTable<Int?> { _ in nil }
    /// Readings of the store under way, and the jobs that have left memory meanwhile: such a
    /// reading may still show them as queued.
    var readings = 0
    var departed: Set<JobID> = []
    /// Running jobs whose functions are gone; no pool bounds them.
    var homeless: Set<JobID> = []
    var attempts: [JobID: Task<Void, Never>] = [:]
    var places: [Int: CheckedContinuation<Void, Never>] = [:]
    let startNotes: StartNotes
    private let changes = JobChanges()
    /// What the failure of a job that is being cancelled says, if it is not the usual.
    var reasons: [JobID: Failure] = [:]
    /// Seconds that an item took when the function was last mapped.
    var itemSeconds: [String: Double] = [:]
    var isDraining = false

    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    init(
        _ parts: EngineParts, waiters: JobWaiters, savedItems: JobWaiters, live: LiveJobs,
        open: OpenJobs, uploads: OpenUploads, events: EventFeed, savedLogs: JobWaiters,
    ) {
        store = parts.store
        pools = PoolTable { parts.pools[$0] }
        slots = parts.slots
        catalogue = parts.catalogue
        settings = parts.settings
        loop = parts.loop
        logger = parts.logger
        traces = JobTraces(tracer: parts.tracer)
        self.waiters = waiters
        self.savedItems = savedItems
        self.live = live
        self.open = open
        self.uploads = uploads
        self.events = events
        ready = ReadyJobs(
            maxJobs: parts.settings.windowJobs, maxBytes: parts.settings.windowBytes)
        startNotes = StartNotes(store: parts.store, live: live, loop: parts.loop)
        progressEvents = ProgressEvents(events, loop: parts.loop)
        journal = JobJournal(
            store: parts.store, live: live, events: events, progressEvents: progressEvents,
            savedLogs: savedLogs, loop: parts.loop)
    }

    // MARK: What is to run

    /// Takes jobs that are new.
    func take(_ jobs: [Job]) {
        for job in jobs { metrics.submitted(job) }
        add(jobs)
    }

    func add(_ jobs: [Job]) {
        for job in jobs { add(job) }
        for pool in PoolKind.allCases where jobs.contains(where: { $0.pool == pool }) {
            startReady(pool)
        }
    }

    func add(_ job: Job) {
        if let due = job.notBefore, due > .now() { return wake(at: due, job.pool) }
        let bytes = job.submissionBytes
        guard ready.hasRoom(in: job.pool, for: bytes) else {
            overflowed[job.pool] = true
            return
        }
        if changes.isUnderWay(job.id) {
            overflowed[job.pool] = true  // if it is queued then, the store has it
            return
        }
        var job = job
        if job.isMap { uploads.update(&job) }
        // A new job may come by its submission and out of the store.
        if live.add(job) { ready.add(job, bytes: bytes) }
    }

    /// Looks into the store when a delayed job is due; one timer at a time serves all.
    private func wake(at due: Timestamp, _ pool: PoolKind) {
        if let next = nextWake[pool] {
            if next.due <= due { return }
            next.timer.cancel()
        }
        let seconds = max(0.001, due.seconds(since: .now()))
        let timer = loop.schedule(after: .microseconds(Int64(min(seconds, 86_400) * 1_000_000))) {
            // A task of its own: a timer cannot wait.
            Task(executorPreference: self.loop) { await self.wakeUp(at: due, pool) }
        }
        nextWake[pool] = (due, timer)
    }

    private func wakeUp(at due: Timestamp, _ pool: PoolKind) async {
        guard nextWake[pool]?.due == due else { return }  // an earlier one has taken its place
        nextWake[pool] = nil
        await refill(pool)
    }

    /// Takes ready jobs from the store into memory.
    func refill(_ pool: PoolKind) async {
        overflowed[pool] = false
        let (live, catalogue, now) = (live, catalogue, Timestamp.now())
        readings += 1
        do throws(StoreError) {
            let jobs = try await store.queued(
                in: pool, dueAt: now, limit: ready.maxJobs, maxBytes: ready.maxBytes,
                leavingOutFunctions: { catalogue.awaits($0) }
            ) { live.state(of: $0) != nil }
            for job in jobs where !departed.contains(job.id) { add(job) }
            if !jobs.isEmpty { overflowed[pool] = true }  // there may be more
            if let due = try await store.nextDue(after: now) { wake(at: due, pool) }
        } catch {
            logger.error("cannot read the queue", metadata: ["error": "\(error)"])
            wake(at: .now().adding(seconds: 1), pool)
        }
        readings -= 1
        if readings == 0 { departed.removeAll() }
        pump(pool)
    }

    // MARK: Starting

    /// Looks for work for a pool that has room when nothing of its has ended.
    func watchPools() async {
        let loop = self.loop
        for kind in PoolKind.allCases {
            await pools[kind]?.whenRoom { loop.execute { self.assumeIsolated { $0.pump(kind) } } }
        }
    }

    /// Looks for jobs that have waited for their functions when the functions are others.
    func watchFunctions() {
        let loop = self.loop
        catalogue.whenReplaced { [weak self] in
            guard let self else { return }
            loop.execute { self.assumeIsolated { $0.functionsHaveChanged() } }
        }
    }

    private func functionsHaveChanged() {
        for kind in PoolKind.allCases {
            overflowed[kind] = true  // by what was left in the store for want of its function
            pump(kind)
        }
    }

    /// Starts what the pool, which may have room again, has room for.
    func pump(_ kind: PoolKind) {
        refused[kind] = nil
        startReady(kind)
    }

    /// Starts what the pool has room for, if another is first in line than whom it refused.
    func startReady(_ kind: PoolKind) {
        guard let pool = pools[kind] else { return }
        while let entry = ready.first(in: kind), entry.sequence != refused[kind] {
            let job = entry.job.flatMap(live.job)
            if entry.job != nil, job?.state != .queued {
                ready.removeFirst(in: kind)  // cancelled in the meantime
                continue
            }
            if isDraining, entry.job != nil { break }
            let function = catalogue.function(named: entry.function)
            if let function {
                guard pool.reserve(for: function, cpus: entry.cpus) else {
                    refused[kind] = entry.sequence
                    break
                }
            } else if let job, catalogue.awaits(entry.function) {
                // Left to the store, out of the way of others; `functionsHaveChanged` takes it again.
                ready.removeFirst(in: kind)
                live.remove(job.id)
                continue
            } else if homeless.count >= Self.homelessLimit {
                break
            }
            ready.removeFirst(in: kind)
            if let job {
                begin(job, function)
            } else {
                places.removeValue(forKey: entry.sequence)?.resume()
            }
        }
        if overflowed[kind], !refilling[kind], ready.hasRoom(in: kind, part: 2) {
            refilling[kind] = true
            // A task of its own: whoever brought the news need not wait for the store.
            Task(executorPreference: loop) { await self.refillOnce(kind) }
        }
    }

    /// How many jobs are failed at once because their functions are gone.
    private static let homelessLimit = 100

    private func refillOnce(_ kind: PoolKind) async {
        await refill(kind)
        refilling[kind] = false
        pump(kind)
    }

    private func begin(_ job: Job, _ function: Function?) {
        if function == nil { homeless.insert(job.id) }
        // An attempt is a task of its own: its cancelling is the job's.
        attempts[job.id] = Task(executorPreference: loop) {
            await JobRun(job: job, function: function).run(on: self)
        }
    }

    // MARK: Running again

    /// Queues a job again that has ended; `JobQueue.retry` says more.
    func requeue(
        _ id: JobID, onlyFailed: Bool, if condition: JobCondition?,
    ) async throws(StoreError) -> ChangeOutcome? {
        if let job = live.job(id) { return .notEnded(job) }
        await changes.begin(id)
        let job: Job
        do {
            defer { changes.end(id) }
            if let job = live.job(id) { return .notEnded(job) }
            guard let ended = try await store.job(id) else { return nil }
            guard ended.state.isEnd else { return .notEnded(ended) }
            if let condition {
                guard let summary = try await summary(of: id) else { return nil }
                guard condition(summary) else { return .conditionFailed }
            }
            if ended.state == .succeeded, !onlyFailed {
                try await store.dropItems(id, onlyFailed: false)
            }
            job = ended.queuedAgain(keepingItems: ended.state != .succeeded || onlyFailed)
            try await store.update(job, adding: [])
        }
        open.reopen(job)
        events.publish(job)
        add([job])
        return .made(job)
    }

    // MARK: Stopping

    /// Cancels a job, in memory or in the store; one that has ended stays as it is.
    ///
    /// - Parameters:
    ///   - id: the job's.
    ///   - reason: what is said of it.
    /// - Throws: when the store cannot be read.
    func cancel(_ id: JobID, as reason: Failure) async throws(StoreError) {
        reasons[id] = reason
        let job = try await cancel(id, if: nil)?.changed
        if job?.state != .cancelling { reasons[id] = nil }
    }

    /// The same with the usual reason.
    ///
    /// - Returns: the job as it stands now; nil when there is none.
    func cancel(
        _ id: JobID, if condition: JobCondition?,
    ) async throws(StoreError) -> ChangeOutcome? {
        func isMet(by job: Job) -> Bool { condition?(job) ?? true }
        if let job = live.job(id), job.state == .cancelling {
            return isMet(by: job) ? .made(job) : .conditionFailed
        }
        await changes.begin(id)
        defer { changes.end(id) }
        if let job = live.job(id) {
            return isMet(by: job) ? await cancelLive(job).map(ChangeOutcome.made) : .conditionFailed
        }
        guard let summary = try await summary(of: id) else { return nil }
        guard isMet(by: summary) else { return .conditionFailed }
        if summary.state.isEnd { return .made(summary) }
        // One whose submission cannot be read is cancelled all the same; what it says of `keep`
        // is not known then.
        return .made(await end((try? await store.job(id)) ?? summary))
    }

    private func summary(of id: JobID) async throws(StoreError) -> Job? {
        try await store.summary(of: id, resultUpTo: JobStoreDefaults.wholeResultBytes)
    }

    private func cancelLive(_ job: Job) async -> Job? {
        guard let attempt = attempts[job.id] else {
            live.change(job.id) { $0.state = .cancelling }
            return await end(job)
        }
        live.change(job.id) { $0.state = .cancelling }
        if let job = live.job(job.id) { events.publish(job) }
        attempt.cancel()
        uploads.wake(job.id)
        return live.job(job.id)
    }

    /// Ends a job that does not run as cancelled.
    private func end(_ job: Job) async -> Job {
        let job = cancelled(job)
        await ended(job, adding: [])
        return job
    }

    func cancelled(_ job: Job) -> Job {
        var job = job
        job.state = .cancelled
        job.endedAt = .now()
        job.failure = reasons[job.id] ?? .cancelled
        job.notBefore = nil
        job.expiresAt = job.endedAt?.adding(seconds: keepSeconds(of: job))
        return job
    }

    var jobCounts: [JobCounts] { metrics.snapshot }

    var runningCount: Int { attempts.count }

    /// The time on the engine's loop; to be had only if that loop lives.
    var time: LoopInstant { .current() }

    /// Starts no more jobs.
    func drain() { isDraining = true }
}
