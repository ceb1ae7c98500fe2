import Jobs
import Synchronization

/// Jobs that run or are about to, as they stand now; the store is a moment behind.
final class LiveJobs: Sendable {
    private let jobs = Mutex<[JobID: Job]>([:])

    func job(_ id: JobID) -> Job? { jobs.withLock { $0[id] } }

    func state(of id: JobID) -> JobState? { jobs.withLock { $0[id]?.state } }

    var count: Int { jobs.withLock { $0.count } }

    func put(_ job: Job) { jobs.withLock { $0[job.id] = job } }

    /// Puts a job that is not there; false when it is, which then stays as it was.
    func add(_ job: Job) -> Bool {
        jobs.withLock { jobs in
            guard let known = jobs.updateValue(job, forKey: job.id) else { return true }
            jobs[job.id] = known
            return false
        }
    }

    func change(_ id: JobID, _ body: (inout Job) -> Void) {
        jobs.withLock { jobs in
            if var job = jobs[id] {
                body(&job)
                jobs[id] = job
            }
        }
    }

    func remove(_ id: JobID) { jobs.withLock { _ = $0.removeValue(forKey: id) } }
}
