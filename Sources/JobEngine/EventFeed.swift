import Jobs
import Sockets
import Synchronization

/// Tells what happens to jobs to those who look on.
///
///     Dispatcher, JobQueue ── publish ──► rings ── take ──► readers, each from where it stands
///                                └────── offer: something new for you ──┘
///
/// While nobody has looked on for a minute nothing is recorded, and publishing is one atomic load.
final class EventFeed: Sendable {
    private let recording = Atomic<Bool>(false)
    private let state: Mutex<State>
    private let limit: Int

    fileprivate struct State {
        var nextID: Int64
        var ring: EventRing
        /// Of lines, which are many and told to readers of one job alone.
        var logRing: EventRing
        var readers: [EventInbox] = []
        /// Those who read of one job alone.
        var ofJob: [JobID: [EventInbox]] = [:]
        var count = 0
        /// Beats since the last reader left.
        var idleBeats = 0
        var isClosed = false
    }

    /// Seconds between two signs of life of a stream.
    static let beatSeconds = 15
    /// Beats without a reader after which nothing is recorded any more.
    private static let idleBeats = 4
    /// Bytes of events that are kept, for all readers, until they take them or come back.
    private static let ringBytes = 8 << 20
    private static let logRingBytes = 4 << 20
    /// Bytes of events that a reader is given at once.
    fileprivate static let takenBytes = 64 << 10

    /// - Parameter limit: readers at once.
    init(limit: Int) {
        // Ids go on growing over restarts, unless there were over a million events a second.
        let first = Timestamp.now().microseconds
        self.limit = limit
        state = Mutex(
            State(
                nextID: first,
                ring: EventRing(limitBytes: Self.ringBytes, lostThrough: first - 1),
                logRing: EventRing(limitBytes: Self.logRingBytes, lostThrough: first - 1)))
    }

    /// Whether anybody listens, or has until a moment ago.
    var isRecording: Bool { recording.load(ordering: .relaxed) }

    /// Tells the state of a job; to be called after it can be read.
    func publish(_ job: Job) {
        guard isRecording else { return }
        publish(
            EventSubject(job), .state(job.state, attempt: job.attempt, failure: job.failure))
    }

    func publish(_ jobs: [Job]) {
        guard isRecording else { return }
        for job in jobs { publish(job) }
    }

    func publish(_ subject: EventSubject, _ content: JobEvent.Content) {
        guard isRecording else { return }
        let at = Timestamp.now()
        state.withLock { state in
            let event = JobEvent(id: state.nextID, subject: subject, content: content, at: at)
            state.nextID += 1
            if case .log = content {
                state.logRing.append(event)
            } else {
                state.ring.append(event)
                for reader in state.readers where reader.filter.takes(subject) {
                    reader.offer(event)
                }
            }
            for reader in state.ofJob[subject.job] ?? [] { reader.offer(event) }
        }
    }

    // MARK: Readers

    /// Begins to listen, after the event that the reader saw last if it says which.
    func subscribe(
        _ filter: EventFilter, after last: Int64?,
    ) throws(TooManyStreams) -> EventSubscription {
        let made: (inbox: EventInbox, start: Int64)? = state.withLock { state in
            guard state.count < limit else { return nil }
            state.count += 1
            state.idleBeats = 0
            recording.store(true, ordering: .sequentiallyConsistent)
            let inbox = state.inbox(filter, after: last)
            if state.isClosed { inbox.end() }
            if let job = filter.job {
                state.ofJob[job, default: []].append(inbox)
            } else {
                state.readers.append(inbox)
            }
            return (inbox, state.nextID - 1)
        }
        guard let made else { throw TooManyStreams(limit: limit) }
        return EventSubscription(made.inbox, of: self, start: made.start)
    }

    func remove(_ inbox: EventInbox) {
        state.withLock { state in
            state.count -= 1
            guard let job = inbox.filter.job else {
                return state.readers.removeAll { $0 === inbox }
            }
            state.ofJob[job]?.removeAll { $0 === inbox }
            if state.ofJob[job]?.isEmpty == true { state.ofJob[job] = nil }
        }
    }

    /// What a reader has not taken yet, as far as it is still held; nil when nothing more will come.
    func take(_ inbox: EventInbox) -> EventNews? {
        state.withLock { state in
            inbox.take { unread, gap in state.take(&unread, &gap, inbox.filter) }
        }
    }

    /// Readers at this moment.
    var readerCount: Int { state.withLock { $0.count } }

    /// Whether the server stops.
    var isClosed: Bool { state.withLock { $0.isClosed } }

    /// Ends all streams when what they have was read; later ones end at once.
    func close() {
        state.withLock { state in
            state.isClosed = true
            for reader in state.everyone { reader.end() }
        }
    }

    // MARK: Signs of life

    /// Has every stream show that it lives, now and then, for as long as the loop runs.
    func beat(on loop: EventLoop) {
        loop.execute {
            loop.schedule(after: .seconds(Self.beatSeconds)) { [weak self] in
                self?.beatOnce()
                self?.beat(on: loop)
            }
        }
    }

    private func beatOnce() {
        state.withLock { state in
            for reader in state.everyone { reader.beat() }
            guard state.count == 0, isRecording else { return }
            state.idleBeats += 1
            guard state.idleBeats >= Self.idleBeats else { return }
            recording.store(false, ordering: .sequentiallyConsistent)
            // Whoever comes back later has missed something, by this id.
            state.ring.clear(through: state.nextID)
            state.logRing.clear(through: state.nextID)
            state.nextID += 1
        }
    }
}

extension EventFeed.State {
    fileprivate var everyone: [EventInbox] { readers + ofJob.values.joined() }

    /// A reader who stands where it was when it saw `last`.
    fileprivate func inbox(_ filter: EventFilter, after last: Int64?) -> EventInbox {
        guard let last else { return EventInbox(filter) }
        let latest = nextID - 1
        let wantsLog = filter.job != nil
        let lost = wantsLog ? max(ring.lostThrough, logRing.lostThrough) : ring.lostThrough
        guard last >= lost, last <= latest else {
            return EventInbox(filter, gap: EventGap(through: latest, isSlowReader: false))
        }
        return EventInbox(
            filter,
            unread: EventInbox.Unread(
                event: ring.first(after: last, filter),
                line: wantsLog ? logRing.first(after: last, filter) : nil))
    }

    /// The next events for a reader of both rings in one order, and what is left for it then.
    fileprivate func take(
        _ unread: inout EventInbox.Unread, _ gap: inout EventGap?, _ filter: EventFilter,
    ) -> [JobEvent] {
        if let lost = lost(unread) { gap = EventGap(through: lost, isSlowReader: true) }
        // Before the gap nothing is told any more.
        let lost = gap.map(\.through) ?? .min
        let most = EventFeed.takenBytes
        var (taken, left): ([JobEvent], Int64?) = ([], nil)
        var (lines, linesLeft): ([JobEvent], Int64?) = ([], nil)
        if let first = unread.event {
            (taken, left) = ring.events(after: max(lost, first - 1), filter, mostBytes: most)
        }
        if let first = unread.line {
            (lines, linesLeft) = logRing.events(
                after: max(lost, first - 1), filter, mostBytes: most)
        }
        unread = EventInbox.Unread(event: left, line: linesLeft)
        guard !lines.isEmpty else { return taken }
        // Of one ring nothing is told that comes behind what is left in the other.
        if let left, let early = lines.firstIndex(where: { $0.id > left }) {
            unread.line = lines[early].id
            lines.removeSubrange(early...)
        }
        if let linesLeft, let early = taken.firstIndex(where: { $0.id > linesLeft }) {
            unread.event = taken[early].id
            taken.removeSubrange(early...)
        }
        return (taken + lines).sorted { $0.id < $1.id }
    }

    /// The latest event of a ring that has lost some of what is unread.
    private func lost(_ unread: EventInbox.Unread) -> Int64? {
        let event = unread.event.flatMap { $0 <= ring.lostThrough ? ring.lostThrough : nil }
        let line = unread.line.flatMap { $0 <= logRing.lostThrough ? logRing.lostThrough : nil }
        guard let event, let line else { return event ?? line }
        return max(event, line)
    }
}

/// There are as many readers of events as the server takes.
package struct TooManyStreams: Error, Equatable {
    /// Streams.
    package let limit: Int
}
