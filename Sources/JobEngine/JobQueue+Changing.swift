package import Jobs

/// What clients, and time, do to jobs that are there.
extension JobQueue {
    /// Stops a job; one that has ended stays as it is.
    ///
    /// - Returns: the job as it stands now, `cancelling` if it runs; nil when there is none.
    package func cancel(
        _ id: JobID, if condition: JobCondition? = nil,
    ) async throws(StoreError) -> ChangeOutcome? {
        try await dispatcher.cancel(id, if: asShown(condition))
    }

    /// Queues a job again that has ended; a map runs only the items that have no result, and with
    /// `onlyFailed` also one that succeeded does not begin anew.
    ///
    /// - Returns: the job if it is queued again; nil when there is none.
    package func retry(
        _ id: JobID, onlyFailed: Bool = false, if condition: JobCondition? = nil,
    ) async throws(StoreError) -> ChangeOutcome? {
        try await dispatcher.requeue(id, onlyFailed: onlyFailed, if: asShown(condition))
    }

    private func asShown(_ condition: JobCondition?) -> JobCondition? {
        guard let condition else { return nil }
        return { [self] job in condition(shown(job)) }
    }

    /// Stops all jobs that the query finds.
    ///
    /// - Returns: how many were stopped or are being stopped.
    package func cancelAll(
        _ query: JobQuery, in states: [JobState],
    ) async throws(StoreError) -> Int {
        try await each(query, in: states) { job async throws(StoreError) in
            let stopped = try await cancel(job.id)?.changed
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
            return try await retry(job.id)?.changed != nil
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
    ///
    /// - Returns: the job as it was; nil when there is none.
    package func delete(
        _ id: JobID, if condition: JobCondition? = nil,
    ) async throws(StoreError) -> ChangeOutcome? {
        let outcome = try await cancel(id, if: condition)
        guard let job = outcome?.changed else { return outcome }
        if !job.state.isEnd { _ = try await wait(id, seconds: 10) }
        return try await store.delete(id) ? outcome : nil
    }

    /// Drops results that have expired; to be called every minute or so.
    package func prune() async throws(StoreError) {
        let now = Timestamp.now()
        try await store.prune(expiredBefore: now, forgottenBefore: now.adding(seconds: -86_400))
    }
}
