import Jobs
import Sockets

/// Tells the progress of jobs, ten times a second a job at most; the latest is never held back for
/// long.
///
/// Belongs to the thread of the engine's loop.
final class ProgressEvents: @unchecked Sendable {
    // Unchecked: used on the loop's thread alone.
    private let events: EventFeed
    private let loop: EventLoop
    /// Jobs told of less than a moment ago, with what came since.
    private var recent: [JobID: (subject: EventSubject, news: JobProgress?)] = [:]

    /// Between two events of a job.
    private static let pause = Duration.milliseconds(100)

    init(_ events: EventFeed, loop: EventLoop) {
        self.events = events
        self.loop = loop
    }

    /// Tells how far a map is.
    func note(_ job: Job) {
        guard case .map(_, let count, _) = job.submission.work else { return }
        note(
            JobProgress(
                done: Double(job.itemsDone), total: Double(count), failed: job.itemsFailed,
                running: job.itemsRunning), of: job)
    }

    func note(_ progress: JobProgress, of job: Job) {
        if recent[job.id] != nil {
            recent[job.id]?.news = progress
            return
        }
        tell(EventSubject(job), progress)
    }

    private func tell(_ subject: EventSubject, _ progress: JobProgress) {
        recent[subject.job] = (subject, nil)
        events.publish(subject, .progress(progress))
        loop.schedule(after: Self.pause) {
            guard let (subject, news) = self.recent.removeValue(forKey: subject.job), let news
            else { return }
            self.tell(subject, news)
        }
    }

    /// Tells what was held back of a job that ends.
    func flush(_ id: JobID) {
        guard !recent.isEmpty, let (subject, news) = recent.removeValue(forKey: id), let news
        else { return }
        events.publish(subject, .progress(news))
    }
}
