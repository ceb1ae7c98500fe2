import HTTPWire
import JobEngine
import Jobs
import RawJSON
import Synchronization
import WebServer

/// What happens to jobs, as server-sent events.
extension JobRoutes {
    func events(_ request: HTTPRequest) async throws -> HTTPResponse {
        let filter = EventFilter(
            function: request.query("function"), queue: request.query("queue"),
            tag: request.query("tag"))
        let subscription = try queue.follow(filter, after: try lastEventID(request))
        return stream(EventStream(subscription, in: queue))
    }

    func jobEvents(_ request: HTTPRequest) async throws -> HTTPResponse {
        let id = try id(request)
        let last = try lastEventID(request)
        // First the subscription, then the state: nothing can happen between the two unseen.
        let subscription = try queue.follow(EventFilter(job: id), after: last)
        guard let job = try await queue.job(id) else { throw Problem.noJob(id.description) }
        let isResumed = last != nil && (subscription.hasMissed || !job.state.isEnd)
        if last != nil, !isResumed, let ended = job.endedAt, ended < .now().adding(seconds: -1) {
            // It has ended and the client knows: 204 tells a browser not to come back. (Just after
            // its end it may not know: the event comes a moment after the state.)
            return HTTPResponse(204, .bytes([]))
        }
        return stream(EventStream(subscription, of: job, in: queue, isResumed: isResumed))
    }

    /// The id of the last event that the client has seen; the query is for clients that cannot
    /// send the field.
    private func lastEventID(_ request: HTTPRequest) throws -> Int64? {
        let text = request.head.field("last-event-id") ?? request.query("last_event_id")
        guard let text, !text.isEmpty else { return nil }
        guard let id = Int64(text), id >= 0 else {
            throw badQuery("last_event_id", "the id of an event")
        }
        return id
    }

    private func stream(_ stream: EventStream) -> HTTPResponse {
        HTTPResponse(
            200,
            fields: [
                ("Content-Type", "text/event-stream"), ("Cache-Control", "no-store"),
                // So that nginx hands each event on at once.
                ("X-Accel-Buffering", "no"),
            ], .stream { try await stream.next() })
    }
}

/// The events of one answer as text.
private final class EventStream: Sendable {
    private let subscription: EventSubscription
    /// Of a stream of one job, as it stood when it was asked for.
    private let job: Job?
    private let queue: JobQueue
    private let isResumed: Bool
    private let state = Mutex(State())

    private struct State {
        var isBegun = false
        var isOver = false
        /// What was told last of the job, lest it be told twice at the beginning.
        var told: (state: JobState, attempt: Int)?
    }

    init(
        _ subscription: EventSubscription, of job: Job? = nil, in queue: JobQueue,
        isResumed: Bool = false,
    ) {
        self.subscription = subscription
        self.job = job
        self.queue = queue
        self.isResumed = isResumed
    }

    /// The next events; nil at the end.
    func next() async throws -> [UInt8]? {
        let (isBegun, isOver) = state.withLock { state in
            defer { state.isBegun = true }
            return (state.isBegun, state.isOver)
        }
        if isOver { return nil }
        if !isBegun { return begin() }
        guard let news = try await subscription.next() else { return nil }
        var text = EventText()
        if let gap = news.gap { text.append(gap) }
        for event in news.events where isNew(event) {
            text.append(event)
            if job != nil, event.isEnd { return text.bytes }
        }
        // Who has missed something of a job is told how it stands.
        if let gap = news.gap, let job, let now = try await queue.job(job.id) {
            tell(now, id: news.events.last?.id ?? gap.through, &text)
        }
        if text.bytes.isEmpty { text.appendBeat() }
        return text.bytes
    }

    /// What a stream begins with: a job's state, or a comment, so that the client sees the head.
    private func begin() -> [UInt8] {
        var text = EventText()
        if let job, !isResumed {
            tell(job, id: subscription.start, &text)
        } else {
            text.appendBeat()
        }
        return text.bytes
    }

    private func tell(_ job: Job, id: Int64, _ text: inout EventText) {
        text.append(standing: job, id: id)
        note(.state(job.state, attempt: job.attempt, failure: nil))
    }

    private func isNew(_ event: JobEvent) -> Bool {
        guard job != nil, case .state(let new, let attempt, _) = event.content else { return true }
        let told = state.withLock { $0.told }
        if let told, told == (new, attempt) { return false }
        note(event.content)
        return true
    }

    private func note(_ content: JobEvent.Content) {
        guard case .state(let new, let attempt, _) = content else { return }
        state.withLock { state in
            state.told = (new, attempt)
            state.isOver = job != nil && new.isEnd
        }
    }
}
