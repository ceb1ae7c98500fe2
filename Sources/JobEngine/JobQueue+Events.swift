package import Jobs

/// Looking on.
extension JobQueue {
    /// Tells what happens to the jobs that the filter takes, from now on or after an event.
    ///
    /// `last` is the id of the event that the reader saw last; what came since is told first, or a
    /// gap if it is not held any more.
    package func follow(
        _ filter: EventFilter, after last: Int64? = nil,
    ) throws(TooManyStreams) -> EventSubscription {
        try events.subscribe(filter, after: last)
    }

    /// Ends all streams of events; to be called when the server begins to stop.
    package func endStreams() { events.close() }
}

/// What jobs print.
extension JobQueue {
    /// Lines of a job's log after the cursor; while there are none and the job runs, waits for
    /// some, a second at most.
    ///
    /// With it comes whether the job had ended before the log was read: then an empty page means
    /// that there is nothing more.
    package func nextLog(
        _ id: JobID, after cursor: Int64, maxBytes: Int, isWaiting: Bool,
    ) async throws(StoreError) -> (page: LogPage, hasEnded: Bool) {
        let waiter = savedLogs.register(id)
        defer { savedLogs.unregister(waiter, id) }
        let hasEnded = try await job(id)?.state.isEnd ?? true
        let page = try await store.log(id, after: cursor, maxBytes: maxBytes)
        if page.text.isEmpty, !hasEnded, isWaiting { _ = await waiter.wait(seconds: 1, by: clock) }
        return (page, hasEnded || events.isClosed)
    }
}
