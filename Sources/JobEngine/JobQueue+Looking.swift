import Functions
package import Jobs
import RawJSON

/// What clients ask about jobs.
extension JobQueue {
    package func job(_ id: JobID) async throws(StoreError) -> Job? {
        if let job = live.job(id) { return job }
        var job = try await store.job(id)
        job?.isUploading = uploads.isOpen(id)
        return job
    }

    /// The job when it has ended, or as it stands after `seconds`, at the stop of the queue or when
    /// the task is cancelled; nil when there is none.
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
            return try await store.summary(of: id, resultUpTo: maxBytes)
        }
        guard let job else { return nil }
        return try await leavingLargeResult(shown(job), over: maxBytes)
    }

    /// A job with what clients are shown of it that is not written.
    func shown(_ job: Job) -> Job {
        var job = explained(job)
        if job.isMap { job.isUploading = uploads.isOpen(job.id) }
        return job
    }

    /// A job that waits for its function to come, with the reason.
    ///
    /// It is not written with the job: there may be millions of them, and the reason changes.
    private func explained(_ job: Job) -> Job {
        guard job.state == .queued, job.failure == nil, catalogue.awaits(job.functionName) else {
            return job
        }
        var job = job
        job.failure = Failure(
            .unavailable, type: "LookupError",
            message: "There is no function \"\(job.functionName)\" at present, for which the job"
                + " waits.\(catalogue.excuse)")
        return job
    }

    /// A job that has just ended without its result, if that is large: it is on the disk, and
    /// nobody is to hold it in memory for as long as a client takes.
    func leavingLargeResult(
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
        if let ended = await waiter.wait(seconds: seconds, by: clock) { return ended }
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
            guard await waiter.wait(seconds: seconds, by: clock) != nil else {
                return (page, false)
            }
        }
    }

    package func list(_ query: JobQuery) async throws(StoreError) -> [Job] {
        try await store.list(query).map { explained(live.job($0.id) ?? $0) }
    }

    package func counts() async throws(StoreError) -> [QueueCount] { try await store.counts() }

    package func poolStatus() async -> [PoolStatus] {
        var found: [PoolStatus] = []
        for kind in PoolKind.allCases {
            if let status = await pools[kind]?.status() { found.append(status) }
        }
        return found
    }
}
