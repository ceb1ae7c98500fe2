import Functions
import Jobs
import Logging
import RawJSON
import Sockets

/// What an attempt, which runs as the dispatcher does, asks of it and tells it.
extension Dispatcher {
    /// Waits for a place in the pool, behind those that asked before.
    func place(for job: Job) async {
        await withCheckedContinuation { continuation in
            places[ready.addChunk(of: job)] = continuation
            startReady(job.pool)
        }
    }

    func giveBackPlace(of job: Job, _ function: Function) {
        pools[job.pool]?.giveBack(for: function, cpus: job.cpus)
        pump(job.pool)
    }

    func run(_ call: Call, in kind: PoolKind) async -> CallOutcome {
        guard let pool = pools[kind] else {
            return CallOutcome(
                .failure(Failure(.unavailable, type: "PoolError", message: "no such pool")))
        }
        let outcome = await pool.run(call)
        pump(kind)
        return outcome
    }

    /// Takes note of the beginning of an attempt that was `due` at a time, if at one.
    func begun(_ job: Job, of function: Function?, due: Timestamp?) {
        metrics.started(job, due: due)
        let job = upToDate(job)
        live.put(job)
        events.publish(job)
        let isInThisProcess = function?.runtime == .native && job.pool != .process
        startNotes.note(job, atOnce: isInThisProcess)
    }

    /// The job with the items that have come since the attempt took it.
    private func upToDate(_ job: Job) -> Job {
        guard job.isUploading, let now = live.job(job.id) else { return job }
        var job = job
        job.submission = now.submission
        job.isUploading = now.isUploading
        return job
    }

    func progress(of id: JobID, done: Int, failed: Int, running: Int) {
        live.change(id) { job in
            job.itemsDone = done
            job.itemsFailed = failed
            job.itemsRunning = running
        }
        if events.isRecording, let job = live.job(id) { progressEvents.note(job) }
    }

    func save(_ segments: [ItemSegment], of id: JobID) async {
        var failures = 0
        while true {
            do throws(StoreError) {
                try await store.saveItems(id, segments)
                break
            } catch {
                failures += 1
                await pause(after: error, of: id, failures)
            }
        }
        if let job = live.job(id) { savedItems.tell(job) }
    }

    func noteItemSeconds(_ seconds: Double, of function: String) { itemSeconds[function] = seconds }

    /// Waits before what work has been done for is written again, as often as it takes.
    private func pause(after error: StoreError, of id: JobID, _ failures: Int) async {
        logger.error("cannot write a job", metadata: ["job": "\(id)", "error": "\(error)"])
        let delay = Duration.milliseconds(min(100 << min(failures - 1, 10), 5000))
        // A cancelled attempt must not turn the pause into a spin.
        let loop = self.loop
        await withUnsafeContinuation { continuation in
            loop.schedule(after: delay) { continuation.resume() }
        }
    }

    func mapRun(_ job: Job, _ function: Function, timeout: Double?) async -> MapRun {
        var ended: [Range<Int>] = []
        do throws(StoreError) {
            // An attempt that was put back is not counted, but its items are there.
            if job.attempt > 1 || job.itemsDone > 0 {
                try await store.dropItems(job.id, onlyFailed: true)
                ended = try await store.itemRanges(job.id)
            }
        } catch {
            // Nothing is lost: the items are run again.
            logger.error(
                "cannot read results", metadata: ["job": "\(job.id)", "error": "\(error)"])
        }
        return MapRun(
            job: job, function: function, timeout: timeout, slots: slots[job.pool] ?? 1,
            ended: ended, itemSeconds: itemSeconds[function.name], dispatcher: self, store: store,
            uploads: uploads, loop: loop)
    }

    func retryPolicy(of job: Job, _ function: Function?) -> RetryPolicy {
        job.submission.retry ?? function?.retry ?? RetryPolicy()
    }

    /// Who hears what the job's calls say.
    nonisolated func source(of job: Job) -> CallSource {
        CallSource(
            job: job.id, reporter: journal, traceparent: traces.traceparent(of: job))
    }

    /// Whether somebody waits for more results of a map.
    nonisolated func isWatched(_ id: JobID) -> Bool { savedItems.has(id) }

    /// Workers that a job may end before it is given up.
    nonisolated var maxWorkerDeaths: Int { settings.workerDeaths }

    func keepSeconds(of job: Job) -> Double { job.submission.keep ?? settings.keepSeconds }

    /// Makes the attempt's outcome durable, then tells whoever waits.
    func ended(_ job: Job, adding segments: [ItemSegment]) async {
        var job = upToDate(job)
        if job.state == .cancelled, let reason = reasons[job.id] { job.failure = reason }
        if job.state.isEnd { uploads.forget(job.id) }
        journal.attemptEnds(job.id)
        await write(job, adding: segments)
        if !job.state.isEnd, live.state(of: job.id) == .cancelling {
            // While its way back to the queue was written.
            job = cancelled(job)
            uploads.forget(job.id)
            await write(job, adding: [])
        }
        if !reasons.isEmpty { reasons[job.id] = nil }
        let hasRun = attempts.removeValue(forKey: job.id) != nil
        metrics.ended(job, hasRun: hasRun)
        traces.ended(job, hasRun: hasRun)
        if !homeless.isEmpty { homeless.remove(job.id) }
        live.remove(job.id)
        if readings > 0 { departed.insert(job.id) }
        progressEvents.flush(job.id)
        events.publish(job)
        if job.state.isEnd {
            open.leave(job)
            journal.close(job)
            waiters.tell(job)
            savedItems.tell(job)
        } else if !isDraining {
            add(job)
        }
        startReady(job.pool)
    }

    private func write(_ job: Job, adding segments: [ItemSegment]) async {
        var failures = 0
        while true {
            do throws(StoreError) {
                return try await store.update(job, adding: segments)
            } catch {
                failures += 1
                await pause(after: error, of: job.id, failures)
            }
        }
    }
}
