import Jobs

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
