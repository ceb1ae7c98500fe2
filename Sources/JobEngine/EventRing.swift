import DequeModule

/// The latest events, for those who were away for a moment.
struct EventRing {
    private var events = Deque<JobEvent>()
    private var bytes = 0
    /// The id of the latest event that is not held any more.
    private(set) var lostThrough: Int64
    let limitBytes: Int

    init(limitBytes: Int, lostThrough: Int64) {
        self.limitBytes = limitBytes
        self.lostThrough = lostThrough
    }

    mutating func append(_ event: JobEvent) {
        events.append(event)
        bytes += event.cost
        while bytes > limitBytes, let first = events.popFirst() {
            bytes -= first.cost
            lostThrough = first.id
        }
    }

    /// Drops everything; what came until `id` counts as lost.
    mutating func clear(through id: Int64) {
        events = []
        bytes = 0
        lostThrough = id
    }

    /// The events after `id` that the filter takes, oldest first.
    func events(after id: Int64, _ filter: EventFilter) -> [JobEvent] {
        // Ids grow: the first one wanted is found by halving.
        var low = 0
        var high = events.count
        while low < high {
            let middle = (low + high) / 2
            if events[middle].id <= id { low = middle + 1 } else { high = middle }
        }
        return events[low...].filter { filter.takes($0.subject) }
    }
}
