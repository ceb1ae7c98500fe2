import GRDB
import Jobs
import RawJSON

/// The changes that are made for every job, prepared once, with what goes with them: a job's
/// bucket, its count and its tags.
final class JobStatements: @unchecked Sendable {
    // Unchecked: made by the one writing connection and used in its transactions alone.
    let buckets: BucketLedger
    /// Beginnings of attempts that the transaction has still to write, unless it brings their ends.
    private var beginnings: [Int64: (attempt: Int, at: Timestamp)] = [:]
    /// Buckets of jobs without tags whose rows were put in and not changed since: their end need
    /// not look for them.
    private var untouched: [Int64: Int64] = [:]

    /// How many jobs it remembers.
    private static let remembered = 32_768
    private let insertJob: RowStatement
    private let insertTag: RowStatement
    private let deleteTag: RowStatement
    private let place: RowStatement
    private let noteStarted: RowStatement
    private let queue: RowStatement
    private let update: RowStatement
    private let saveItems: RowStatement
    private let deleteJob: RowStatement
    private let deleteItems: RowStatement
    private let deleteLog: RowStatement
    let uploads: UploadStatements
    let payloads: PayloadStatements

    init(_ database: Database, maxBytes: Int64?) throws {
        buckets = try BucketLedger(database)
        insertJob = try RowStatement(
            database,
            """
            INSERT INTO jobs (\(JobRow.columns), unique_key, cache_key)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """)
        insertTag = try RowStatement(
            database, "INSERT OR IGNORE INTO job_tags (tag, bucket, job) VALUES (?, ?, ?)")
        deleteTag = try RowStatement(
            database, "DELETE FROM job_tags WHERE tag = ? AND bucket = ? AND job = ?")
        place = try RowStatement(
            database,
            """
            SELECT bucket, tags, state, attempt, started_at, function, queue, pool, uuid_low,
                priority, CASE typeof(submission) WHEN 'text' THEN submission END,
                CASE typeof(result) WHEN 'text' THEN result END
            FROM jobs WHERE id = ?
            """)
        noteStarted = try RowStatement(
            database,
            """
            UPDATE jobs SET bucket = ?, state = 'running', attempt = ?, started_at = ?,
                not_before = NULL, wakes_at = NULL
            WHERE id = ?
            """)
        queue = try RowStatement(
            database,
            "UPDATE jobs SET bucket = ?, state = 'queued', wakes_at = NULL WHERE id = ?")
        update = try RowStatement(
            database,
            """
            UPDATE jobs SET bucket = ?, state = ?, attempt = ?, not_before = ?, wakes_at = ?,
                started_at = ?, ended_at = ?, expires_at = ?, items_done = ?, items_failed = ?, failure = ?,
                failed_attempts = ?, result = ?
            WHERE id = ?
            """)
        saveItems = try RowStatement(
            database,
            """
            INSERT OR REPLACE INTO items (job, first, count, results, failures)
            VALUES (?, ?, ?, ?, ?)
            """)
        deleteJob = try RowStatement(database, "DELETE FROM jobs WHERE id = ?")
        deleteItems = try RowStatement(database, "DELETE FROM items WHERE job = ?")
        deleteLog = try RowStatement(database, "DELETE FROM logs WHERE job = ?")
        uploads = try UploadStatements(database)
        payloads = try PayloadStatements(database, maxBytes: maxBytes)
    }

    // MARK: Jobs

    /// Adds a job, whose submission is in the row or in a file.
    func insert(_ job: Job, submission file: PayloadFile? = nil) throws {
        let bucket = try buckets.number(of: Bucket(job))
        if let file { try payloads.add(file, of: job.id.sequence) }
        try insertJob.run { row in
            JobRow.bind(job, bucket: bucket, submission: file, to: &row)
            row.add(optional: job.keys.unique)
            row.add(optional: job.keys.cache)
        }
        buckets.add(1, to: bucket)
        try uploads.insert(job)
        let tags = job.tags
        for tag in tags { try insert(tag, bucket, job.id.sequence) }
        if tags.isEmpty, untouched.count < Self.remembered { untouched[job.id.sequence] = bucket }
    }

    /// Writes the mutable part of a job, its result in the row or in a file; false when it is not
    /// there any more.
    func update(_ job: Job, result file: PayloadFile? = nil) throws -> Bool {
        if !beginnings.isEmpty { beginnings[job.id.sequence] = nil }
        guard let (old, tags, oldFile) = try place(before: job) else { return false }
        let bucket = try buckets.number(of: Bucket(job))
        try payloads.drop(oldFile)
        if let file { try payloads.add(file, of: job.id.sequence) }
        try update.run { row in
            row.add(bucket)
            row.add(job.state.rawValue)
            row.add(job.attempt)
            JobRow.bindTimes(job, to: &row)
            row.add(job.itemsDone)
            row.add(job.itemsFailed)
            JobRow.bindFailures(job, to: &row)
            JobRow.bindResult(job, in: file, to: &row)
            row.add(job.id.sequence)
        }
        try move(job.id.sequence, from: old, to: bucket, tags: tags)
        return true
    }

    /// The bucket, the tags and the result's file of a job that is to be changed.
    private func place(
        before job: Job,
    ) throws -> (bucket: Int64, tags: String?, resultFile: String?)? {
        if let bucket = untouched.removeValue(forKey: job.id.sequence) { return (bucket, nil, nil) }
        return try placeOf(job.id.sequence) { row in
            (row.number(0), row.optionalText(1), row.optionalText(11))
        }
    }

    /// Notes that an attempt has begun; it is written with the end of the transaction.
    func noteStarted(_ id: JobID, attempt: Int, at time: Timestamp) {
        beginnings[id.sequence] = (attempt, time)
    }

    /// Writes what was put off; the last thing that a transaction does.
    func finish() throws {
        for (id, beginning) in beginnings {
            try writeStart(id, attempt: beginning.attempt, at: beginning.at)
        }
        beginnings.removeAll(keepingCapacity: true)
        try buckets.flush()
        try payloads.finish()
    }

    /// Forgets what a transaction that was undone has done.
    func reset() {
        beginnings = [:]
        untouched = [:]
        buckets.reset()
        payloads.reset()
    }

    /// Writes that an attempt has begun, unless its end is there already or it was put back in the
    /// queue before the note came: then the job has the same start.
    private func writeStart(_ id: Int64, attempt: Int, at time: Timestamp) throws {
        let found = try placeOf(id) { row -> (old: Int64, tags: String?, new: Bucket)? in
            guard row.text(2) == JobState.queued.rawValue, row.number(3) < attempt,
                row.optionalNumber(4) != time.microseconds,
                let pool = PoolKind(rawValue: row.text(7))
            else { return nil }
            let new = Bucket(
                state: .running, function: row.text(5), queue: row.text(6), pool: pool)
            return (row.number(0), row.optionalText(1), new)
        }
        guard let (old, tags, new) = found ?? nil else { return }
        let bucket = try buckets.number(of: new)
        untouched[id] = nil
        try noteStarted.run { row in
            row.add(bucket)
            row.add(attempt)
            row.add(time.microseconds)
            row.add(id)
        }
        try move(id, from: old, to: bucket, tags: tags)
    }

    /// Puts a job among those that wait for their turn.
    func queue(_ id: Int64) throws {
        let found = try placeOf(id) { row -> (old: Int64, tags: String?, new: Bucket)? in
            guard let pool = PoolKind(rawValue: row.text(7)) else { return nil }
            let new = Bucket(
                state: .queued, function: row.text(5), queue: row.text(6), pool: pool,
                priority: Int(row.number(9)))
            return (row.number(0), row.optionalText(1), new)
        }
        guard let (old, tags, new) = found ?? nil else { return }
        let bucket = try buckets.number(of: new)
        untouched[id] = nil
        try queue.run { row in
            row.add(bucket)
            row.add(id)
        }
        try move(id, from: old, to: bucket, tags: tags)
    }

    /// Puts a job into another bucket after its row was changed.
    private func move(_ id: Int64, from old: Int64, to new: Int64, tags: String?) throws {
        guard old != new else { return }
        buckets.add(-1, to: old)
        buckets.add(1, to: new)
        for tag in JobRow.tags(tags) {
            try delete(tag, old, id)
            try insert(tag, new, id)
        }
    }

    /// Forgets a job and all that belongs to it, if `low`, where given, is the rest of its id;
    /// false when there is none.
    func delete(_ id: Int64, low: Int64? = nil) throws -> Bool {
        let found = try placeOf(id) { row in
            (
                bucket: row.number(0), tags: row.optionalText(1), low: row.number(8),
                submission: row.optionalText(10), result: row.optionalText(11)
            )
        }
        guard let found, low ?? found.low == found.low else { return false }
        untouched[id] = nil
        let (bucket, tags) = (found.bucket, found.tags)
        try deleteJob.run { $0.add(id) }
        try payloads.drop(found.submission, found.result)
        buckets.add(-1, to: bucket)
        for tag in JobRow.tags(tags) { try delete(tag, bucket, id) }
        try dropItems(id)
        try deleteLog.run { $0.add(id) }
        try uploads.delete(id)
        return true
    }

    private func placeOf<Value>(_ id: Int64, _ read: (RowReader) throws -> Value) throws -> Value? {
        try place.first({ $0.add(id) }, read)
    }

    private func insert(_ tag: String, _ bucket: Int64, _ id: Int64) throws {
        try insertTag.run { row in
            row.add(tag)
            row.add(bucket)
            row.add(id)
        }
    }

    private func delete(_ tag: String, _ bucket: Int64, _ id: Int64) throws {
        try deleteTag.run { row in
            row.add(tag)
            row.add(bucket)
            row.add(id)
        }
    }

    // MARK: Items

    func save(_ segments: [ItemSegment], of id: JobID) throws {
        for segment in segments {
            let failures = segment.failures.map { String(decoding: $0.json.bytes, as: UTF8.self) }
            try saveItems.run { row in
                row.add(id.sequence)
                row.add(segment.first)
                row.add(segment.count)
                row.add(segment.results)
                row.add(failures.isEmpty ? nil : "[" + failures.joined(separator: ",") + "]")
            }
        }
    }

    func dropItems(_ id: Int64) throws { try deleteItems.run { $0.add(id) } }
}
