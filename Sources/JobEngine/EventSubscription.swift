import DequeModule
import Jobs
import Synchronization

/// One reader of events; what is told ends with its release.
package final class EventSubscription: Sendable {
    private let inbox: EventInbox
    private let feed: EventFeed
    /// The id of the latest event before the first that it is told.
    package let start: Int64
    /// Whether there was something to tell at once of the time before.
    package let hasMissed: Bool

    init(_ inbox: EventInbox, of feed: EventFeed, start: Int64) {
        self.inbox = inbox
        self.feed = feed
        self.start = start
        hasMissed = !inbox.isEmpty
    }

    deinit { feed.remove(inbox) }

    /// Waits for news; nil when nothing more will come.
    ///
    /// - Throws: `CancellationError` when the task is cancelled.
    package func next() async throws -> EventNews? { try await inbox.next() }
}

/// What is new since the last call; empty when it is only time for a sign of life.
package struct EventNews: Sendable {
    /// Events before these that are not told.
    package var gap: EventGap?
    package var events: [JobEvent]
}

/// Events that a reader has missed.
package struct EventGap: Sendable, Equatable {
    /// The id of the last of them, or a later one.
    package let through: Int64
    /// Whether they came faster than they were read; else they are too old.
    package let isSlowReader: Bool
}

/// The bounded queue before a reader: who reads too slowly is told of a gap.
final class EventInbox: Sendable {
    let filter: EventFilter
    private let state: Mutex<State>

    /// Bytes of events that wait for their reader; past it they are dropped.
    private static let limitBytes = 1 << 20

    private struct State {
        var queue = Deque<JobEvent>()
        var bytes = 0
        var gap: EventGap?
        var isBeatDue = false
        var isOver = false
        var waiting: UnsafeContinuation<Void, Never>?

        var hasNews: Bool { !queue.isEmpty || gap != nil || isBeatDue || isOver }
    }

    init(_ filter: EventFilter, first: [JobEvent], gap: EventGap?) {
        self.filter = filter
        var state = State()
        state.queue = Deque(first)
        state.bytes = first.reduce(0) { $0 + $1.cost }
        state.gap = gap
        self.state = Mutex(state)
    }

    /// Waits for news; nil when nothing more will come.
    ///
    /// - Throws: `CancellationError` when the task is cancelled.
    func next() async throws -> EventNews? {
        await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                let isReady = state.withLock { state in
                    if state.hasNews || Task.isCancelled { return true }
                    state.waiting = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        } onCancel: {
            wake { _ in }
        }
        try Task.checkCancellation()
        return state.withLock { state in
            if state.isOver, state.queue.isEmpty, state.gap == nil { return nil }
            defer {
                state.queue = []
                state.bytes = 0
                state.gap = nil
                state.isBeatDue = false
            }
            return EventNews(gap: state.gap, events: Array(state.queue))
        }
    }

    var isEmpty: Bool { state.withLock { $0.queue.isEmpty && $0.gap == nil } }

    func offer(_ event: JobEvent) {
        wake { state in
            state.bytes += event.cost
            if state.bytes > Self.limitBytes, let last = state.queue.last {
                state.gap = EventGap(through: last.id, isSlowReader: true)
                state.queue = []
                state.bytes = event.cost
            }
            state.queue.append(event)
        }
    }

    /// Has the reader show that the stream lives.
    func beat() { wake { $0.isBeatDue = true } }

    func end() { wake { $0.isOver = true } }

    private func wake(_ change: (inout State) -> Void) {
        let waiting = state.withLock { state in
            change(&state)
            defer { state.waiting = nil }
            return state.waiting
        }
        waiting?.resume()
    }
}
