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

    /// The oldest event after `id` that the filter takes.
    func first(after id: Int64, _ filter: EventFilter) -> Int64? {
        events[place(after: id)...].first { filter.takes($0.subject) }?.id
    }

    /// The events after `id` that the filter takes, oldest first, of about so many bytes; with the id
    /// of the first of them that was left, if any was.
    func events(
        after id: Int64, _ filter: EventFilter, mostBytes: Int,
    ) -> (taken: [JobEvent], left: Int64?) {
        var taken: [JobEvent] = []
        var bytes = 0
        for event in events[place(after: id)...] where filter.takes(event.subject) {
            if bytes >= mostBytes { return (taken, event.id) }
            taken.append(event)
            bytes += event.cost
        }
        return (taken, nil)
    }

    /// Where the first event after `id` is: ids grow, so that it is found by halving.
    private func place(after id: Int64) -> Int {
        var low = 0
        var high = events.count
        while low < high {
            let middle = (low + high) / 2
            if events[middle].id <= id { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
