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
    package func next() async throws -> EventNews? {
        try await inbox.untilNews()
        return feed.take(inbox)
    }
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

/// Where a reader stands in the feed's rings, which hold the events for all: who reads too slowly is
/// told of a gap, and costs no memory meanwhile.
final class EventInbox: Sendable {
    let filter: EventFilter
    private let state: Mutex<State>

    /// The oldest events, of each ring, that the reader has not taken; nil where it has taken all.
    struct Unread {
        var event: Int64?
        var line: Int64?

        var isEmpty: Bool { event == nil && line == nil }
    }

    private struct State {
        var unread = Unread()
        var gap: EventGap?
        var isBeatDue = false
        var isOver = false
        var waiting: UnsafeContinuation<Void, Never>?

        var hasNews: Bool { !unread.isEmpty || gap != nil || isBeatDue || isOver }
    }

    init(_ filter: EventFilter, unread: Unread = Unread(), gap: EventGap? = nil) {
        self.filter = filter
        var state = State()
        state.unread = unread
        state.gap = gap
        self.state = Mutex(state)
    }

    /// Waits until there is something to take.
    ///
    /// - Throws: `CancellationError` when the task is cancelled.
    func untilNews() async throws {
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
    }

    /// What there is, nil when nothing more will come; `read` gives events and says what it left.
    func take(_ read: (inout Unread, inout EventGap?) -> [JobEvent]) -> EventNews? {
        state.withLock { state in
            if state.isOver, state.unread.isEmpty, state.gap == nil { return nil }
            state.isBeatDue = false
            var gap = state.gap
            state.gap = nil
            let events = read(&state.unread, &gap)
            return EventNews(gap: gap, events: events)
        }
    }

    var isEmpty: Bool { state.withLock { $0.unread.isEmpty && $0.gap == nil } }

    func offer(_ event: JobEvent) {
        wake { state in
            if case .log = event.content {
                state.unread.line = state.unread.line ?? event.id
            } else {
                state.unread.event = state.unread.event ?? event.id
            }
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
