import HeapModule
import Jobs

/// What wants a place in a pool, in the order in which it gets one: the highest priority first,
/// then what a running job has submitted, the newest first, then the oldest.
///
/// Only so much is kept in memory: whoever adds looks for room before.
struct ReadyJobs {
    /// Most jobs of a pool, and most bytes of their submissions; one is kept whatever its size.
    let maxJobs, maxBytes: Int

    private var lines = PoolTable { _ in Line() }
    private var nextSequence = 0

    /// What waits for one pool.
    private struct Line {
        var entries = Heap<Entry>()
        /// Of their submissions.
        var bytes = 0
    }

    init(maxJobs: Int, maxBytes: Int) {
        self.maxJobs = maxJobs
        self.maxBytes = maxBytes
    }

    struct Entry: Comparable {
        let priority: Int
        let sequence: Int
        let isNested: Bool
        /// nil for a running map that wants to run another chunk.
        let job: JobID?
        let function: String
        /// Slots that it takes.
        let cpus: Int
        /// Of the submission.
        let bytes: Int

        private var turn: Int { isNested ? sequence : -sequence }

        static func < (left: Entry, right: Entry) -> Bool {
            (left.priority, left.turn) < (right.priority, right.turn)
        }
    }

    /// Whether a job more fits, or would if the room were so many times smaller.
    func hasRoom(in pool: PoolKind, for bytes: Int = 0, part: Int = 1) -> Bool {
        let (jobs, held) = (lines[pool].entries.count, lines[pool].bytes)
        return jobs == 0 || jobs < maxJobs / part && held + bytes <= maxBytes / part
    }

    mutating func add(_ job: Job, bytes: Int) { push(job, id: job.id, bytes: bytes) }

    /// Adds a running map's wish for another chunk.
    ///
    /// - Returns: the entry's sequence number.
    mutating func addChunk(of job: Job) -> Int { push(job, id: nil, bytes: 0) }

    @discardableResult
    private mutating func push(_ job: Job, id: JobID?, bytes: Int) -> Int {
        nextSequence += 1
        lines[job.pool].entries.insert(
            Entry(
                priority: job.priority, sequence: nextSequence, isNested: job.isNested,
                job: id, function: job.functionName, cpus: job.cpus, bytes: bytes))
        lines[job.pool].bytes += bytes
        return nextSequence
    }

    /// The entry whose turn it is.
    func first(in pool: PoolKind) -> Entry? { lines[pool].entries.max }

    mutating func removeFirst(in pool: PoolKind) {
        lines[pool].bytes -= lines[pool].entries.popMax()?.bytes ?? 0
    }
}
