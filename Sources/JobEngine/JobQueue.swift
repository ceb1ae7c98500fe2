package import Functions
package import Jobs
package import Logging
package import RawJSON
package import Sockets
import Synchronization
package import Tracing

/// Settings of the engine, with units and defaults.
package struct EngineSettings: Sendable {
    /// Ready jobs of a pool that are kept in memory; the rest waits in the store.
    package var windowJobs = 20_000
    /// Bytes of their submissions; one job is kept whatever its size.
    package var windowBytes = 64 << 20
    /// Jobs waiting and running in all; past it submissions are refused.
    package var openJobs = 1_000_000
    /// The same of one queue.
    package var openJobsPerQueue = Int.max
    /// Workers that a job may end before it is given up, whatever its retry policy says.
    package var workerDeaths = 3
    /// Streams of events at once.
    package var eventStreams = 1000
    /// Seconds that a result stays if its job does not say.
    package var keepSeconds = 7.0 * 86_400

    package init() {}
}

/// What an engine is built of.
package struct EngineParts: Sendable {
    package var store: any JobStore
    package var pools: [PoolKind: any JobPool]
    package var slots: [PoolKind: Int]
    package var catalogue: FunctionCatalogue
    package var settings: EngineSettings
    package var loop: EventLoop
    package var logger: Logger
    /// Takes spans of jobs; nil for none.
    package var tracer: Tracer?

    package init(
        store: any JobStore, pools: [PoolKind: any JobPool], slots: [PoolKind: Int],
        catalogue: FunctionCatalogue, settings: EngineSettings, loop: EventLoop, logger: Logger,
        tracer: Tracer? = nil,
    ) {
        self.tracer = tracer
        self.store = store
        self.pools = pools
        self.slots = slots
        self.catalogue = catalogue
        self.settings = settings
        self.loop = loop
        self.logger = logger
    }
}

/// All that may be asked of the engine: submit, look, wait, cancel, retry, forget.
package final class JobQueue: Sendable {
    package let catalogue: FunctionCatalogue
    let store: any JobStore
    private let shelf: ResultShelf
    private let pools: [PoolKind: any JobPool]
    private let slots: [PoolKind: Int]
    let loop: EventLoop
    let dispatcher: Dispatcher
    private let waiters = JobWaiters()
    /// Those who wait for more results of a running map.
    private let savedItems = JobWaiters()
    let live = LiveJobs()
    let uploads = OpenUploads()
    private let open: OpenJobs
    private let ids: JobIDGenerator
    private let keysInUse = KeysInUse()
    let events: EventFeed
    /// Those who wait for more of a log.
    let savedLogs = JobWaiters()
    let lastAnswer = LastAnswer()

    /// Recovers what an earlier server has left; it runs from `begin` on.
    ///
    /// - Throws: `StoreError` when the store cannot be read.
    package static func recover(_ parts: EngineParts) async throws -> JobQueue {
        let report = try await parts.store.recover(
            at: .now(), keepSeconds: parts.settings.keepSeconds)
        if report.requeued > 0 {
            parts.logger.notice(
                "jobs found unfinished are queued again", metadata: ["jobs": "\(report.requeued)"])
        }
        try await cutUnfinishedUploads(parts)
        let open = OpenJobs(
            limit: parts.settings.openJobs, limitPerQueue: parts.settings.openJobsPerQueue,
            stored: try await parts.store.counts())
        return JobQueue(parts, open: open, lastSequence: report.lastSequence)
    }

    /// Begins to run what waits.
    package func begin() async {
        await dispatcher.watchPools()
        for pool in pools.keys { await dispatcher.refill(pool) }
    }

    private init(_ parts: EngineParts, open: OpenJobs, lastSequence: Int64) {
        catalogue = parts.catalogue
        store = parts.store
        shelf = ResultShelf(store: parts.store)
        pools = parts.pools
        slots = parts.slots
        loop = parts.loop
        ids = JobIDGenerator(after: lastSequence)
        self.open = open
        events = EventFeed(limit: parts.settings.eventStreams)
        dispatcher = Dispatcher(
            parts, waiters: waiters, savedItems: savedItems, live: live, open: open,
            uploads: uploads, events: events, savedLogs: savedLogs)
        events.beat(on: loop)
    }

    // MARK: Submitting

    /// Makes a job of a submission.
    ///
    /// - Throws: `SubmissionError` when the function is unknown or does not run on the pool.
    package func prepare(
        _ submission: JobSubmission, idempotencyKey: String? = nil, traceparent: String? = nil,
        at pointer: JSONPointer = JSONPointer(),
    ) throws(SubmissionError) -> Job {
        guard let function = catalogue.function(named: submission.function) else {
            let near = Spelling.nearest(
                to: submission.function, among: catalogue.functions.map(\.name))
            let hint = near.map { " Did you mean \"\($0)\"?" } ?? " GET /v1/functions lists them."
            throw SubmissionError(
                .unknownFunction, at: pointer.appending("function"),
                "There is no function \"\(submission.function)\".\(hint)")
        }
        let pool = submission.pool ?? function.pool
        guard function.pools.contains(pool) else {
            let allowed = function.pools.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
            throw SubmissionError(
                .poolNotAllowed, at: pointer.appending("pool"),
                "\"\(function.name)\" does not run on the \(pool.rawValue) pool; choose \(allowed)."
            )
        }
        if let slots = slots[pool], let cpus = submission.cpus, cpus > slots {
            throw SubmissionError(
                .invalidMember, at: pointer.appending("cpus"),
                "\"cpus\" must be at most \(slots), which the \(pool.rawValue) pool has, not "
                    + "\(cpus).")
        }
        if function.runtime == .native || pool != .process, !submission.limits.isEmpty {
            var names = JSONWriter()
            names.beginObject()
            submission.limits.writeMembers(to: &names)
            names.endObject()
            let first = RawJSON(trusted: names.bytes[...]).members().first?.name ?? ""
            throw SubmissionError(
                .limitNotPossible, at: pointer.appending(first),
                "\"\(first)\" holds for Python functions and commands on the process pool,"
                    + " not for \"\(function.name)\" on the \(pool.rawValue) pool.")
        }
        let now = Timestamp.now()
        var submission = submission
        submission.queue = submission.queue ?? function.queue ?? "default"
        // A function that would like more than there is runs with what there is.
        submission.cpus = submission.cpus ?? min(function.cpus ?? 1, slots[pool] ?? 1)
        for tag in function.tags where !submission.tags.contains(tag) {
            submission.tags.append(tag)
        }
        if !submission.itemsFollow {
            submission.isUnique = submission.isUnique ?? function.isUnique
            submission.cache = submission.cache ?? function.cache
        }
        // Of all items, so before they are taken out.
        let keys = CallKeys(submission, of: function)
        let pieces = submission.takeItems()
        let due = submission.delay.map { now.adding(seconds: $0) } ?? submission.notBefore
        var job = Job(
            id: ids.next(at: now), submission: submission, pool: pool, createdAt: now,
            notBefore: due, idempotencyKey: idempotencyKey)
        job.traceparent = traceparent
        job.keys = keys
        job.pieces = pieces
        return job
    }

    /// Keeps a job durably and lets it run.
    ///
    /// - Returns: the job, or the one that answers in its place.
    /// - Throws: `QueueFull`, `KeyInUse`, `KeyReused`, or a `StoreError`.
    package func submit(_ job: Job) async throws -> KeptJob {
        let outcomes = try await keysInUse.hold(job.idempotencyKey) {
            try await insert([job], batch: nil)
        }
        switch outcomes.first {
        case .existing(let existing, let likeness):
            return KeptJob(job: live.job(existing.id) ?? existing, likeness: likeness)
        case .keyReused: throw KeyReused()
        case .stored, .repeated, nil: return KeptJob(job: job.withoutPieces)
        }
    }

    /// Submits one job and waits for its end at most `seconds`.
    package func submit(_ job: Job, waiting seconds: Double) async throws -> KeptJob {
        let waiter = waiters.register(job.id)
        defer { waiters.unregister(waiter, job.id) }
        var kept = try await submit(job)
        if kept.likeness != nil {
            kept.job = try await wait(kept.job.id, seconds: seconds) ?? kept.job
        } else {
            kept.job = await waiter.wait(seconds: seconds, on: loop) ?? live.job(job.id) ?? kept.job
        }
        kept.job = try await leavingLargeResult(
            kept.job, over: JobStoreDefaults.wholeResultBytes)
        return kept
    }

    /// Keeps jobs durably, all or none, and lets them run.
    ///
    /// - Parameters:
    ///   - jobs: in their order.
    ///   - batch: if there was a batch with the same key, its jobs are returned, as new ones.
    /// - Returns: each job, or the one that answers in its place.
    /// - Throws: `QueueFull`, `KeyInUse`, `KeyReused`, or a `StoreError`.
    package func submit(
        _ jobs: [Job], batch: BatchKey? = nil,
    ) async throws -> [(id: JobID, state: JobState)] {
        guard !jobs.isEmpty else { return [] }
        let outcomes = try await keysInUse.hold(batch?.key) {
            try await insert(jobs, batch: batch)
        }
        return try zip(jobs, outcomes).map { job, outcome in
            switch outcome {
            case .stored: (job.id, job.state)
            case .existing(let job, _): (job.id, live.state(of: job.id) ?? job.state)
            case .repeated(let id): (id, .queued)
            case .keyReused: throw KeyReused()
            }
        }
    }

    private func insert(_ jobs: [Job], batch: BatchKey?) async throws -> [InsertOutcome] {
        try open.admit(jobs)
        let (loop, dispatcher, open, events, live) = (loop, dispatcher, open, events, live)
        do throws(StoreError) {
            return try await store.insert(
                jobs, batch: batch, leavingOut: { live.state(of: $0) == .cancelling }
            ) { outcomes in
                let fresh = Self.fresh(jobs, outcomes)
                if fresh.count < jobs.count {
                    open.leave(zip(jobs, outcomes).lazy.filter { !$1.isStored }.map { $0.0 })
                }
                events.publish(fresh)
                loop.execute { dispatcher.assumeIsolated { $0.take(fresh) } }
            }
        } catch {
            open.leave(jobs)
            throw error
        }
    }

    /// The jobs that were stored, as they are held in memory; of most batches the very array.
    private static func fresh(_ jobs: [Job], _ outcomes: [InsertOutcome]) -> [Job] {
        if outcomes.allSatisfy(\.isStored), jobs.allSatisfy({ $0.pieces.isEmpty }) { return jobs }
        return zip(jobs, outcomes).compactMap { $1.isStored ? $0.withoutPieces : nil }
    }

    // MARK: Looking

    package func job(_ id: JobID) async throws(StoreError) -> Job? {
        if let job = live.job(id) { return job }
        var job = try await store.job(id)
        job?.isUploading = uploads.isOpen(id)
        return job
    }

    /// The job when it has ended, or as it stands after `seconds` or when the task is cancelled;
    /// nil when there is none.
    package func wait(_ id: JobID, seconds: Double) async throws(StoreError) -> Job? {
        try await wait(id, seconds: seconds) { () async throws(StoreError) in try await job(id) }
    }

    /// As `wait`, for who shows the job: without its arguments, and a result over `maxBytes` may be
    /// left to a `ResultReader`.
    package func summary(
        of id: JobID, waiting seconds: Double, resultUpTo maxBytes: Int,
    ) async throws(StoreError) -> Job? {
        let job = try await wait(id, seconds: seconds) { () async throws(StoreError) in
            if let job = live.job(id) { return job }
            var job = try await store.summary(of: id, resultUpTo: maxBytes)
            job?.isUploading = uploads.isOpen(id)
            return job
        }
        guard let job else { return nil }
        return try await leavingLargeResult(job, over: maxBytes)
    }

    /// A job that has just ended without its result, if that is large: it is on the disk, and
    /// nobody is to hold it in memory for as long as a client takes.
    private func leavingLargeResult(
        _ job: Job, over maxBytes: Int,
    ) async throws(StoreError) -> Job {
        guard let result = job.result, result.bytes.count > maxBytes else { return job }
        return try await store.summary(of: job.id, resultUpTo: maxBytes) ?? job
    }

    private func wait(
        _ id: JobID, seconds: Double, _ look: () async throws(StoreError) -> Job?,
    ) async throws(StoreError) -> Job? {
        guard seconds > 0 else { return try await look() }
        let waiter = waiters.register(id)
        defer { waiters.unregister(waiter, id) }
        guard let job = try await look() else { return nil }
        if job.state.isEnd { return job }
        if let ended = await waiter.wait(seconds: seconds, on: loop) { return ended }
        return try await look()
    }

    /// Reads the result of the attempt that ended at `endedAt`, which has `size` bytes.
    package func result(
        of id: JobID, endedAt: Timestamp, size: Int, inFile: Bool,
    ) -> ResultReader {
        ResultReader(
            ResultShelf.Key(job: id, endedAt: endedAt), size: size, store: store,
            shelf: inFile ? nil : shelf)
    }

    /// Some of the submission of a call as it was sent; nil when there is no such job.
    package func submission(
        of id: JobID, from offset: Int, maxBytes: Int,
    ) async throws(StoreError) -> SubmissionPart? {
        try await store.submission(of: id, from: offset, maxBytes: maxBytes)
    }

    /// What is written of a map's items from the cursor on.
    package func items(
        _ id: JobID, _ cursor: ItemCursor, onlyFailed: Bool = false, maxBytes: Int,
    ) async throws(StoreError) -> ItemPage {
        try await store.items(id, cursor, onlyFailed: onlyFailed, maxBytes: maxBytes)
    }

    /// Items of a map from the cursor on; while there are none and the job runs, waits for some.
    ///
    /// - Returns: the page, which is empty when `seconds` have passed, and whether the job had
    ///   ended before it was read: then an empty page means that there is nothing more.
    package func nextItems(
        _ id: JobID, _ cursor: ItemCursor, onlyFailed: Bool, maxBytes: Int, seconds: Double,
    ) async throws(StoreError) -> (page: ItemPage, hasEnded: Bool) {
        while true {
            let waiter = savedItems.register(id)
            defer { savedItems.unregister(waiter, id) }
            let hasEnded = try await job(id)?.state.isEnd ?? true
            var page = try await store.items(id, cursor, onlyFailed: onlyFailed, maxBytes: maxBytes)
            // While the job runs, a gap is of items that are still to come.
            if !hasEnded, !onlyFailed { page.cutAtGap(from: cursor) }
            if !page.isEmpty || hasEnded || seconds <= 0 { return (page, hasEnded) }
            guard await waiter.wait(seconds: seconds, on: loop) != nil else { return (page, false) }
        }
    }

    package func list(_ query: JobQuery) async throws(StoreError) -> [Job] {
        try await store.list(query).map { live.job($0.id) ?? $0 }
    }

    package func counts() async throws(StoreError) -> [QueueCount] { try await store.counts() }

    package func poolStatus() async -> [PoolStatus] {
        var found: [PoolStatus] = []
        for kind in PoolKind.allCases {
            if let status = await pools[kind]?.status() { found.append(status) }
        }
        return found
    }

    // MARK: Changing

    /// Stops a job; one that has ended stays as it is.
    ///
    /// - Returns: the job as it stands now, `cancelling` if it runs; nil when there is none.
    package func cancel(_ id: JobID) async throws(StoreError) -> Job? {
        try await dispatcher.cancel(id)
    }

    /// Queues a job again that has ended; a map runs only the items that have no result, and with
    /// `onlyFailed` also one that succeeded does not begin anew.
    ///
    /// - Returns: the job, and whether it is queued again; one that has not ended is left alone.
    ///   nil when there is none.
    package func retry(
        _ id: JobID, onlyFailed: Bool = false,
    ) async throws(StoreError) -> (job: Job, isQueuedAgain: Bool)? {
        try await dispatcher.requeue(id, onlyFailed: onlyFailed)
    }

    /// Stops all jobs that the query finds.
    ///
    /// - Returns: how many were stopped or are being stopped.
    package func cancelAll(
        _ query: JobQuery, in states: [JobState],
    ) async throws(StoreError) -> Int {
        try await each(query, in: states) { job async throws(StoreError) in
            let stopped = try await cancel(job.id)
            return stopped?.state == .cancelled || stopped?.state == .cancelling
        }
    }

    /// Queues all jobs again that the query finds, those that failed for a reason if one is given.
    ///
    /// - Returns: how many.
    package func retryAll(
        _ query: JobQuery, in states: [JobState], reason: Failure.Reason?,
    ) async throws(StoreError) -> Int {
        try await each(query, in: states) { job async throws(StoreError) in
            guard reason == nil || job.failure?.reason == reason else { return false }
            return try await retry(job.id)?.isQueuedAgain == true
        }
    }

    /// Walks through the jobs of the query, newest first; counts those that `change` changes.
    private func each(
        _ query: JobQuery, in states: [JobState],
        _ change: (Job) async throws(StoreError) -> Bool,
    ) async throws(StoreError) -> Int {
        var changed = 0
        for state in states {
            var query = query
            query.state = state
            query.limit = 500
            while true {
                let page = try await store.list(query)
                for job in page where try await change(job) { changed += 1 }
                guard page.count == query.limit, let last = page.last else { break }
                query.before = last.id
            }
        }
        return changed
    }

    /// Forgets a job; one that runs is cancelled first, and has 10 s for its end.
    package func delete(_ id: JobID) async throws(StoreError) -> Bool {
        if let job = try await cancel(id), !job.state.isEnd { _ = try await wait(id, seconds: 10) }
        return try await store.delete(id)
    }

    /// Drops results that have expired; to be called every minute or so.
    package func prune() async throws(StoreError) {
        let now = Timestamp.now()
        try await store.prune(expiredBefore: now, forgottenBefore: now.adding(seconds: -86_400))
    }

    // MARK: End

    /// Starts nothing more, waits for what runs, then stops it and puts it back in the queue.
    ///
    /// - Parameter isOver: asked now and then whether what runs has had its time.
    package func stop(whenOver isOver: @Sendable () -> Bool) async {
        await dispatcher.drain()
        while await dispatcher.runningCount > 0, !isOver() {
            try? await Task.sleep(for: .milliseconds(20))
        }
        for pool in pools.values { await pool.stop() }
        let late = ContinuousClock.now + .seconds(3)
        while await dispatcher.runningCount > 0, ContinuousClock.now < late {
            try? await Task.sleep(for: .milliseconds(10))
        }
    }
}

/// A job that was submitted, or the one that answers in its place.
package struct KeptJob: Sendable {
    package var job: Job
    /// Why another job answers; nil for the new one.
    package var likeness: Likeness?
}

/// A batch's `Idempotency-Key` has come with another batch or a job, or a job's with a batch.
package struct KeyReused: Error, Equatable {}
