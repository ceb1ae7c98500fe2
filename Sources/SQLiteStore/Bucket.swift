import Jobs

/// What the jobs of one bucket have in common: what lists can ask for, and of queued jobs also
/// what the dispatcher asks for.
///
/// Every job lies in one bucket and goes to another one with its state:
///
///     (queued, f, default, process, 0, delayed) ── due ──► (queued, f, default, process, 0)
///          ──► (running, f, default, process) ──► (succeeded, f, default, process)
///
/// One index, (bucket, id), then serves every list, the dispatcher's queue and the recovery, and
/// the buckets' counts are the numbers of jobs.
struct Bucket: Hashable {
    var state: JobState
    var function: String
    var queue: String
    var pool: PoolKind
    /// 0 unless the jobs are queued.
    var priority: Int
    /// Whether the jobs are queued but not due.
    var isDelayed: Bool

    init(
        state: JobState, function: String, queue: String, pool: PoolKind, priority: Int = 0,
        isDelayed: Bool = false,
    ) {
        self.state = state
        self.function = function
        self.queue = queue
        self.pool = pool
        self.priority = state == .queued ? priority : 0
        self.isDelayed = state == .queued && isDelayed
    }

    init(_ job: Job) {
        let submission = job.submission
        self.init(
            state: job.state, function: submission.function,
            queue: submission.queue ?? "default", pool: job.pool,
            priority: submission.priority, isDelayed: job.notBefore != nil)
    }
}
