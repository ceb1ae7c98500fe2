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
    let shelf: ResultShelf
    let pools: [PoolKind: any JobPool]
    private let slots: PoolTable<Int?>
    let loop: EventLoop
    let dispatcher: Dispatcher
    let waiters = JobWaiters()
    let clock: WaitClock
    /// Those who wait for more results of a running map.
    let savedItems = JobWaiters()
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
        await dispatcher.watchFunctions()
        for pool in pools.keys { await dispatcher.refill(pool) }
    }

    private init(_ parts: EngineParts, open: OpenJobs, lastSequence: Int64) {
        catalogue = parts.catalogue
        store = parts.store
        shelf = ResultShelf(store: parts.store)
        pools = parts.pools
        slots = PoolTable { parts.slots[$0] }
        loop = parts.loop
        clock = WaitClock(on: parts.loop)
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
    /// - Throws: `SubmissionError` when the function is unknown or not read yet, or does not run on
    ///   the pool.
    package func prepare(
        _ submission: consuming JobSubmission, idempotencyKey: String? = nil,
        traceparent: String? = nil, at pointer: JSONPointer = JSONPointer(),
    ) throws(SubmissionError) -> Job {
        guard let function = catalogue.function(named: submission.function) else {
            throw unknown(submission.function, at: pointer.appending("function"))
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
        return Job(
            id: ids.next(at: now), submission: submission, pool: pool, createdAt: now,
            notBefore: due, idempotencyKey: idempotencyKey, traceparent: traceparent, keys: keys,
            pieces: pieces)
    }

    private func unknown(_ function: String, at pointer: JSONPointer) -> SubmissionError {
        if let reading = catalogue.reading {
            return SubmissionError(
                .functionsNotRead, at: pointer,
                "There is no function \"\(function)\" yet. \(reading) Try again in a moment.")
        }
        let near = Spelling.nearest(to: function, among: catalogue.functions.map(\.name))
        let hint =
            near.map { " Did you mean \"\($0)\"?" }
            ?? " GET /v1/functions lists them.\(catalogue.excuse)"
        return SubmissionError(
            .unknownFunction, at: pointer, "There is no function \"\(function)\".\(hint)")
    }

    /// Keeps a job durably and lets it run.
    ///
    /// - Returns: the job, or the one that answers in its place.
    /// - Throws: `QueueFull`, `KeyInUse`, `KeyReused`, or a `StoreError`.
    package func submit(_ job: Job) async throws -> KeptJob {
        let outcomes = try await keysInUse.hold(job.idempotencyKey) {
            try await insert([job], batch: nil)
        }
        return try kept(job, outcomes.first)
    }

    /// Apart, so that a submission which waits for the disk holds no room for the jobs of each case.
    @inline(never)
    private func kept(_ job: Job, _ outcome: InsertOutcome?) throws(KeyReused) -> KeptJob {
        switch outcome {
        case .existing(let existing, let likeness):
            KeptJob(job: live.job(existing.id) ?? existing, likeness: likeness)
        case .keyReused: throw KeyReused()
        case .stored, .repeated, nil: KeptJob(job: job.withoutPieces)
        }
    }

    /// Submits one job and waits for its end at most `seconds`; what was sent along is not held meanwhile.
    ///
    /// - Parameters:
    ///   - job: handed over, so that nobody else holds it.
    ///   - seconds: for which its end is waited for.
    ///   - check: is asked before the wait whether what was kept answers the job.
    /// - Returns: the job as it ended or stands, or the one that answers in its place.
    /// - Throws: as without a wait, and what `check` throws.
    package func submit(
        _ job: consuming Job, waiting seconds: Double,
        check: (_ kept: KeptJob, _ sent: Job) async throws -> Void = { _, _ in },
    ) async throws -> KeptJob {
        let id = job.id
        let waiter = waiters.register(id)
        defer { waiters.unregister(waiter, id) }
        var kept = try await submit(job)
        try await check(kept, job)
        kept.job = kept.job.withoutLargeSubmission
        _ = consume job
        // From here on it is durable: who were told of a failure would send it again. If the store
        // cannot be read, whoever asks for the job next hears of that.
        let mostBytes = JobStoreDefaults.wholeResultBytes
        if kept.likeness != nil {
            kept.job = (try? await wait(kept.job.id, seconds: seconds)) ?? kept.job
        } else if let ended = await waiter.wait(seconds: seconds, by: clock) {
            kept.job = ended
        } else {
            // It may have run meanwhile and wait for its next attempt.
            let now = try? await summary(of: id, waiting: 0, resultUpTo: mostBytes)
            kept.job = now ?? kept.job
        }
        kept.job = (try? await leavingLargeResult(kept.job, over: mostBytes)) ?? kept.job
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

    // MARK: End

    /// Starts nothing more, waits for what runs, then stops it and puts it back in the queue; who
    /// waits for the end of another job hears then how it stands.
    ///
    /// - Parameter isOver: asked now and then whether what runs has had its time.
    package func stop(whenOver isOver: @Sendable () -> Bool) async {
        await dispatcher.drain()
        while await dispatcher.runningCount > 0, !isOver() {
            try? await Task.sleep(for: .milliseconds(20))
        }
        for pool in pools.values { await pool.stop() }
        let late = ContinuousClock.now + .seconds(2)
        while await dispatcher.runningCount > 0, ContinuousClock.now < late {
            try? await Task.sleep(for: .milliseconds(10))
        }
        // Not sooner: a call that waits for another job would fail of it, and is put back instead.
        waiters.close()
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
