import DequeModule
import Jobs
import Sockets

/// Tells the store of the beginning of attempts that have run for a moment, so that a short one is
/// written once, at its end.
///
/// Belongs to the thread of the engine's loop.
final class StartNotes: @unchecked Sendable {
    // Unchecked: used on the loop's thread alone.
    private let store: any JobStore
    private let live: LiveJobs
    private let loop: EventLoop
    /// Not told yet, in their order.
    private var waiting = Deque<(id: JobID, attempt: Int, at: Timestamp)>()

    /// Milliseconds that an attempt may run before the store is told.
    private static let delay = 20

    init(store: any JobStore, live: LiveJobs, loop: EventLoop) {
        self.store = store
        self.live = live
        self.loop = loop
    }

    /// - Parameters:
    ///   - job: whose attempt has begun.
    ///   - atOnce: whether the store learns it now: of a function that could take the server down.
    func note(_ job: Job, atOnce: Bool) {
        let start = job.startedAt ?? .now()
        if atOnce { return store.noteStarted(job.id, attempt: job.attempt, at: start) }
        waiting.append((job.id, job.attempt, start))
        if waiting.count == 1 { schedule() }
    }

    private func schedule() {
        loop.schedule(after: .milliseconds(Self.delay)) { self.tell() }
    }

    private func tell() {
        let old = Timestamp.now().adding(seconds: -Double(Self.delay) / 1000)
        while let (id, attempt, start) = waiting.first, start <= old {
            waiting.removeFirst()
            guard let job = live.job(id), job.state == .running, job.attempt == attempt else {
                continue
            }
            store.noteStarted(id, attempt: attempt, at: start)
        }
        if !waiting.isEmpty { schedule() }
    }
}
