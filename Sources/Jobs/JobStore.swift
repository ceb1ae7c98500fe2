package import Threads

/// Where jobs are kept.
///
/// Every method may be called from any thread and suspends instead of blocking. What a method
/// that changes something has returned is durable: it survives `kill -9` and loss of power.
package protocol JobStore: ItemStore, LogStore, StoreHealth {
    /// Keeps new jobs, all or none, in order.
    ///
    /// A job that is like one that is there already, as `Likeness` tells, is not kept.
    ///
    /// - Parameters:
    ///   - jobs: as they are to be stored.
    ///   - batch: the key of them all; if a batch had it before, none is kept.
    ///   - isStopping: whether a job that is there is being cancelled, and no answer to others.
    ///   - durable: called with the outcomes, on any thread, as soon as they are durable: before
    ///     the caller is resumed, so that work begins without its detour.
    /// - Returns: one outcome a job.
    /// - Throws: when none was kept; `full` when the disk is.
    func insert(
        _ jobs: [Job], batch: BatchKey?, leavingOut isStopping: @escaping @Sendable (JobID) -> Bool,
        durable: @escaping @Sendable ([InsertOutcome]) -> Void,
    ) async throws(StoreError) -> [InsertOutcome]

    /// Notes that an attempt has begun, soon but without waiting for it; a short attempt's end may
    /// come first and takes the note's place.
    func noteStarted(_ id: JobID, attempt: Int, at time: Timestamp)

    /// Keeps results of a map's items while it runs.
    func saveItems(_ id: JobID, _ segments: [ItemSegment]) async throws(StoreError)

    /// Writes the mutable part of a job (state, attempt, times, counts, result, failure) together
    /// with segments not saved before. A job that is not there any more is left alone; one that
    /// comes without its result has none afterwards.
    func update(_ job: Job, adding segments: [ItemSegment]) async throws(StoreError)

    /// Drops a job's items: all, or the failed ones.
    func dropItems(_ id: JobID, onlyFailed: Bool) async throws(StoreError)

    /// Forgets a job and all that belongs to it; false when there is none.
    func delete(_ id: JobID) async throws(StoreError) -> Bool

    /// The job with its whole submission, its failure, and its result; of a result that does not
    /// lie with it only how large it is.
    func job(_ id: JobID) async throws(StoreError) -> Job?

    /// The job as clients are shown it: without what only the submission says, with its result; of
    /// one over `maxBytes` only how large it is.
    func summary(of id: JobID, resultUpTo maxBytes: Int) async throws(StoreError) -> Job?

    /// The result of a call from an offset on, at most `maxBytes` of it; nil when it is not there
    /// any more. `endedAt` says whose attempt's result is meant: a retry brings another.
    func result(
        of id: JobID, endedAt: Timestamp, from offset: Int, maxBytes: Int,
    ) async throws(StoreError) -> [UInt8]?

    /// The file that is the result of a call; nil when it is in none, or not there any more.
    /// `endedAt` as of `result`.
    func resultFile(of id: JobID, endedAt: Timestamp) async throws(StoreError) -> OpenFile?

    /// The submission of a call from an offset on, at most `maxBytes` of it, as it was sent; nil when
    /// there is no such job.
    func submission(
        of id: JobID, from offset: Int, maxBytes: Int,
    ) async throws(StoreError) -> SubmissionPart?

    /// Segments from the cursor on, at least one if there is any and no more than about `maxBytes`
    /// of results; with `onlyFailed` those that hold a failed item.
    func items(
        _ id: JobID, _ cursor: ItemCursor, onlyFailed: Bool, maxBytes: Int,
    ) async throws(StoreError) -> ItemPage

    /// First item and count of every segment, in order, without the results.
    func itemRanges(_ id: JobID) async throws(StoreError) -> [Range<Int>]

    /// Jobs newest first, without what is large: results, arguments and what else only the
    /// submission says. `job` reads a whole one.
    func list(_ query: JobQuery) async throws(StoreError) -> [Job]

    /// Jobs of a pool that are queued and due, the first to run first: higher priority, then older.
    ///
    /// There are `limit` of them at most, with `maxBytes` of submissions in all, but one whatever
    /// its size. Those that `isKnown` names are left out and do not count; neither do those of the
    /// functions that `isAbsent` names, however many, for which none of them is looked at.
    func queued(
        in pool: PoolKind, dueAt time: Timestamp, limit: Int, maxBytes: Int,
        leavingOutFunctions isAbsent: @escaping @Sendable (String) -> Bool,
        leavingOut isKnown: @escaping @Sendable (JobID) -> Bool,
    ) async throws(StoreError) -> [Job]

    /// The earliest `not_before` after `time` among the queued jobs.
    func nextDue(after time: Timestamp) async throws(StoreError) -> Timestamp?

    /// How many jobs there are by queue and state.
    func counts() async throws(StoreError) -> [QueueCount]

    /// Puts jobs found running back in their queue; called once at the start.
    ///
    /// The attempt that was under way stays counted. Jobs found `cancelling` become `cancelled`;
    /// they are kept for `keepSeconds` if they do not say themselves.
    func recover(
        at time: Timestamp, keepSeconds: Double,
    ) async throws(StoreError) -> RecoveryReport

    /// Drops results that have expired before `time`, and forgets jobs that expired long before.
    func prune(expiredBefore time: Timestamp, forgottenBefore: Timestamp) async throws(StoreError)
}

extension JobStore {
    package func insert(
        _ jobs: [Job], batch: BatchKey? = nil,
    ) async throws(StoreError) -> [InsertOutcome] {
        try await insert(jobs, batch: batch, leavingOut: { _ in false }, durable: { _ in })
    }
}

/// What became of a job given to `insert`.
package enum InsertOutcome: Sendable {
    case stored
    /// A job that is there already answers in its place; the new one was not stored.
    ///
    /// Indirect: a batch has a thousand outcomes, nearly all of which hold no job.
    indirect case existing(Job, Likeness)
    /// An earlier batch with the same key and body has made this job, or was answered with it.
    case repeated(JobID)
    /// The key is that of a batch with another body, or of a job where this is a batch, or of a
    /// batch where this is a job.
    case keyReused

    package var isStored: Bool {
        if case .stored = self { true } else { false }
    }
}

/// Some of a submission, and how many bytes it has in all.
package struct SubmissionPart: Sendable, Equatable {
    package var bytes: [UInt8]
    package var total: Int

    package init(bytes: [UInt8], of total: Int) {
        self.bytes = bytes
        self.total = total
    }
}

/// What stores do if they are not told otherwise.
package enum JobStoreDefaults {
    /// Bytes up to which a result is read with its job, and a submission at once.
    package static let wholeResultBytes = 64 << 10
    /// Seconds from a submission for which its `Idempotency-Key` brings the same job again.
    package static let keySeconds = 86_400.0
}

/// What a store found when it was opened.
package struct RecoveryReport: Sendable, Equatable {
    /// Jobs that were running and are queued again.
    package var requeued: Int
    /// The greatest `JobID.sequence` in the store, 0 when it is empty.
    package var lastSequence: Int64

    package init(requeued: Int, lastSequence: Int64) {
        self.requeued = requeued
        self.lastSequence = lastSequence
    }
}

/// Number of jobs of one queue in one state.
package struct QueueCount: Sendable, Equatable {
    package var queue: String
    package var state: JobState
    package var count: Int

    package init(queue: String, state: JobState, count: Int) {
        self.queue = queue
        self.state = state
        self.count = count
    }
}

/// Which jobs a list shows.
///
/// Members that are nil do not restrict.
package struct JobQuery: Sendable, Equatable {
    package var state: JobState?
    package var function: String?
    package var queue: String?
    package var tag: String?
    /// Only jobs whose id or function begins with this, or that have it as a tag; beside `tag` only
    /// the first two.
    package var search: String?
    /// Only jobs older than this one.
    package var before: JobID?
    package var limit: Int

    package init(
        state: JobState? = nil, function: String? = nil, queue: String? = nil, tag: String? = nil,
        search: String? = nil, before: JobID? = nil, limit: Int = 50,
    ) {
        self.state = state
        self.function = function
        self.queue = queue
        self.tag = tag
        self.search = search
        self.before = before
        self.limit = limit
    }
}

/// Why a store could not do what it was asked.
package enum StoreError: Error, Equatable, CustomStringConvertible {
    /// No room on the disk.
    case full(String)
    /// Another server holds the data folder.
    case locked(String)
    /// The file is damaged, of a later version, or the disk failed.
    case failed(String)

    package var description: String {
        switch self {
        case .full(let detail), .locked(let detail), .failed(let detail): detail
        }
    }
}
