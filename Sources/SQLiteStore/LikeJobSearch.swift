import GRDB
import Jobs

/// Finds what answers a submission in the place of a new job, within the transaction that would
/// store it.
struct LikeJobSearch {
    private let database: Database
    /// For which an `Idempotency-Key` names the same job.
    private let keySeconds: Double
    private let isStopping: (JobID) -> Bool

    init(_ database: Database, keySeconds: Double, isStopping: @escaping (JobID) -> Bool) {
        self.database = database
        self.keySeconds = keySeconds
        self.isStopping = isStopping
    }

    func twin(of job: Job) throws -> (Job, Likeness)? {
        if let key = job.idempotencyKey,
            let twin = try keyed(key, since: job.createdAt.adding(seconds: -keySeconds))
        {
            return (twin, .idempotencyKey)
        }
        if let key = job.keys.cache, let seconds = job.submission.cache,
            let twin = try cached(key, at: job.createdAt, seconds: seconds)
        {
            return (twin, .cache)
        }
        if let key = job.keys.unique, let twin = try open(key) { return (twin, .unique) }
        return nil
    }

    /// The job that has the key; one from before `start` loses it.
    private func keyed(_ key: String, since start: Timestamp) throws -> Job? {
        let find = try RowStatement(
            cached: "SELECT \(JobRow.columnsOfSummary) FROM jobs WHERE idempotency_key = ?",
            database)
        let job = try find.first(
            { row in
                row.add(JobStoreDefaults.wholeResultBytes)
                row.add(key)
            }, JobRow.summary)
        guard let job else { return nil }
        if job.createdAt > start { return job }
        try RowStatement(
            cached: "UPDATE jobs SET idempotency_key = NULL WHERE id = ?", database
        ).run { $0.add(job.id.sequence) }
        return nil
    }

    /// The latest result of the call that is there and not too old.
    private func cached(_ key: [UInt8], at now: Timestamp, seconds: Double) throws -> Job? {
        try RowStatement(
            cached: """
                SELECT \(JobRow.columnsOfSummary) FROM jobs INDEXED BY jobs_cached
                WHERE cache_key = ? AND state = 'succeeded' AND ended_at >= ? AND expires_at > ?
                ORDER BY ended_at DESC LIMIT 1
                """, database
        ).first(
            { row in
                row.add(JobStoreDefaults.wholeResultBytes)
                row.add(key)
                row.add(now.adding(seconds: -seconds).microseconds)
                row.add(now.microseconds)
            }, JobRow.summary)
    }

    /// The unique job of the call that waits or runs.
    private func open(_ key: [UInt8]) throws -> Job? {
        var found: Job?
        try RowStatement(
            cached: """
                SELECT \(JobRow.columnsOfSummary) FROM jobs INDEXED BY jobs_unique
                WHERE unique_key = ? AND (state = 'queued' OR state = 'running')
                """, database
        ).rows { row in
            row.add(JobStoreDefaults.wholeResultBytes)
            row.add(key)
        } _: { row in
            if isStopping(JobRow.id(row)) { return true }
            found = try JobRow.summary(row)
            return false
        }
        return found
    }

    // MARK: Batches

    struct EarlierBatch {
        /// nil when its body was another.
        let ids: [JobID]?
    }

    /// The batch that has the key.
    func batch(_ batch: BatchKey, before now: Timestamp) throws -> EarlierBatch? {
        let start = now.adding(seconds: -keySeconds)
        return try RowStatement(
            cached: "SELECT fingerprint, jobs FROM batches WHERE key = ? AND created_at > ?",
            database
        ).first(
            { row in
                row.add(batch.key)
                row.add(start.microseconds)
            },
            { row in
                guard row.bytes(0) == batch.fingerprint else { return EarlierBatch(ids: nil) }
                return EarlierBatch(ids: Self.ids(row.bytes(1)))
            })
    }

    /// Whether a batch has the key of a single job.
    func isOfBatch(_ job: Job) throws -> Bool {
        guard let key = job.idempotencyKey else { return false }
        return try RowStatement(
            cached: "SELECT 1 FROM batches WHERE key = ? AND created_at > ?", database
        ).first(
            { row in
                row.add(key)
                row.add(job.createdAt.adding(seconds: -keySeconds).microseconds)
            }, { _ in true }) ?? false
    }

    /// Whether a single job has the key of a batch that comes at a time.
    func isOfJob(_ key: String, at now: Timestamp) throws -> Bool {
        try keyed(key, since: now.adding(seconds: -keySeconds)) != nil
    }

    /// Remembers what a batch was answered with.
    func note(_ batch: BatchKey, _ jobs: [Job], _ outcomes: [InsertOutcome]) throws {
        var ids: [UInt8] = []
        ids.reserveCapacity(jobs.count * 16)
        for (job, outcome) in zip(jobs, outcomes) {
            let id = if case .existing(let twin, _) = outcome { twin.id } else { job.id }
            withUnsafeBytes(of: id.high.bigEndian) { ids += $0 }
            withUnsafeBytes(of: id.low.bigEndian) { ids += $0 }
        }
        try RowStatement(
            cached: """
                INSERT OR REPLACE INTO batches (key, created_at, fingerprint, jobs)
                VALUES (?, ?, ?, ?)
                """, database
        ).run { row in
            row.add(batch.key)
            row.add(jobs.first?.createdAt.microseconds)
            row.add(batch.fingerprint)
            row.add(ids)
        }
    }

    private static func ids(_ bytes: [UInt8]) -> [JobID] {
        stride(from: 0, to: bytes.count, by: 16).map { start in
            JobID(
                high: number(bytes[start..<start + 8]), low: number(bytes[start + 8..<start + 16]))
        }
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }
}
