import Synchronization

/// Counts the jobs that have not ended, and bounds them.
final class OpenJobs: Sendable {
    private let limit: Int
    private let count: Mutex<Int>

    init(limit: Int, count: Int) {
        self.limit = limit
        self.count = Mutex(count)
    }

    /// Lets new jobs in, all or none.
    func admit(_ jobs: Int) throws(QueueFull) {
        let isIn = count.withLock { count in
            guard count + jobs <= limit else { return false }
            count += jobs
            return true
        }
        if !isIn { throw QueueFull(limit: limit) }
    }

    /// Counts a job that is there already and opens again.
    func reopen() { count.withLock { $0 += 1 } }

    func leave(_ jobs: Int) { count.withLock { $0 -= jobs } }
}

/// There are as many jobs waiting and running as the server takes.
package struct QueueFull: Error, Equatable {
    /// Jobs.
    package let limit: Int
}
