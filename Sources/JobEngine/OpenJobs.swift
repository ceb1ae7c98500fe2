import Jobs
import Synchronization

/// Counts the jobs that have not ended, and bounds them, in all and in each queue.
final class OpenJobs: Sendable {
    private let limit: Int
    private let limitPerQueue: Int
    private let counts: Mutex<Counts>

    private struct Counts {
        var all = 0
        /// None is 0; empty where queues have no bound of their own.
        var byQueue: [String: Int] = [:]
        let areQueuesBounded: Bool

        mutating func add(_ jobs: Int, to queue: String) {
            all += jobs
            guard areQueuesBounded else { return }
            let count = (byQueue[queue] ?? 0) + jobs
            byQueue[queue] = count > 0 ? count : nil
        }
    }

    /// - Parameters:
    ///   - limit: jobs in all.
    ///   - limitPerQueue: jobs of one queue.
    ///   - stored: what is there already.
    init(limit: Int, limitPerQueue: Int, stored: [QueueCount]) {
        self.limit = limit
        self.limitPerQueue = limitPerQueue
        var counts = Counts(areQueuesBounded: limitPerQueue < .max)
        for found in stored where !found.state.isEnd { counts.add(found.count, to: found.queue) }
        self.counts = Mutex(counts)
    }

    /// Lets new jobs in, all or none.
    func admit(_ jobs: [Job]) throws(QueueFull) {
        let full: QueueFull? = counts.withLock { counts in
            guard counts.all + jobs.count <= limit else { return QueueFull(limit: limit) }
            for (index, job) in jobs.enumerated() {
                let queue = job.queue
                guard counts.byQueue[queue] ?? 0 < limitPerQueue else {
                    for job in jobs[..<index] { counts.add(-1, to: job.queue) }
                    return QueueFull(limit: limitPerQueue, queue: queue)
                }
                counts.add(1, to: queue)
            }
            return nil
        }
        if let full { throw full }
    }

    /// Counts a job that is there already and opens again.
    func reopen(_ job: Job) { counts.withLock { $0.add(1, to: job.queue) } }

    func leave(_ job: Job) { leave([job]) }

    func leave(_ jobs: some Sequence<Job>) {
        counts.withLock { counts in
            for job in jobs { counts.add(-1, to: job.queue) }
        }
    }
}

/// There are as many jobs waiting and running as the server takes.
package struct QueueFull: Error, Equatable {
    /// Jobs.
    package let limit: Int
    /// The queue whose bound it is; nil for that of all.
    package var queue: String?

    package init(limit: Int, queue: String? = nil) {
        self.limit = limit
        self.queue = queue
    }
}
