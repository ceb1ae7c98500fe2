import Foundation
import GRDB
import Jobs
import RawJSON

/// The columns of `jobs` and a job's values in their order.
enum JobRow {
    static let columns = """
        id, uuid_low, state, function, queue, pool, priority, attempt, created_at, not_before,
        started_at, ended_at, expires_at, items_done, items_failed, idempotency_key, traceparent,
        submission, result, failure, failed_attempts
        """

    /// With a result of as many bytes at most as the statement's first value says, and its size.
    static let columnsOfOne = """
        id, uuid_low, state, function, queue, pool, priority, attempt, created_at, not_before,
        started_at, ended_at, expires_at, items_done, items_failed, idempotency_key, traceparent,
        submission, CASE WHEN length(result) <= ? THEN result END AS result, failure,
        failed_attempts, length(result) AS result_bytes
        """

    /// Without the results, for lists.
    static let columnsOfList = """
        id, uuid_low, state, function, queue, pool, priority, attempt, created_at, not_before,
        started_at, ended_at, expires_at, items_done, items_failed, idempotency_key, traceparent,
        submission, NULL AS result, failure, NULL AS failed_attempts
        """

    /// Binds a new job's values in the order of `columns`.
    static func bind(_ job: Job, to row: inout RowValues) {
        row.add(job.id.sequence)
        row.add(Int64(bitPattern: job.id.low))
        row.add(job.state.rawValue)
        row.add(job.submission.function)
        row.add(job.submission.queue ?? "default")
        row.add(job.pool.rawValue)
        row.add(job.submission.priority)
        row.add(job.attempt)
        row.add(job.createdAt.microseconds)
        row.add(job.notBefore?.microseconds)
        row.add(job.startedAt?.microseconds)
        row.add(job.endedAt?.microseconds)
        row.add(job.expiresAt?.microseconds)
        row.add(job.itemsDone)
        row.add(job.itemsFailed)
        row.add(job.idempotencyKey)
        row.add(job.traceparent)
        row.add(job.submission.document.bytes)
        bindOutcome(job, to: &row)
    }

    /// Binds result, failure and failed attempts.
    static func bindOutcome(_ job: Job, to row: inout RowValues) {
        if let result = job.result { row.add(result.bytes) } else { row.addNull() }
        if let failure = job.failure { row.add(failure.json.bytes) } else { row.addNull() }
        if job.failedAttempts.isEmpty { return row.addNull() }
        var writer = JSONWriter()
        writer.beginArray()
        for attempt in job.failedAttempts { attempt.write(to: &writer) }
        writer.endArray()
        row.add(writer.bytes)
    }

    /// The job of a row; nil when its submission cannot be read, which only damage explains.
    static func job(_ row: Row) -> Job? {
        let sequence = UInt64(bitPattern: row["id"] as Int64)
        let id = JobID(
            high: (sequence >> 12) << 16 | 0x7000 | sequence & 0xfff,
            low: UInt64(bitPattern: row["uuid_low"] as Int64))
        let document = RawJSON(trusted: bytes(row["submission"])[...])
        guard var submission = try? JobSubmission(parsing: document),
            let state = JobState(rawValue: row["state"]), let pool = PoolKind(rawValue: row["pool"])
        else { return nil }
        submission.queue = row["queue"]
        var job = Job(
            id: id, submission: submission, pool: pool, state: state, attempt: row["attempt"],
            createdAt: Timestamp(microseconds: row["created_at"]),
            notBefore: time(row["not_before"]), startedAt: time(row["started_at"]),
            endedAt: time(row["ended_at"]), expiresAt: time(row["expires_at"]),
            itemsDone: row["items_done"], itemsFailed: row["items_failed"],
            result: (row["result"] as Data?).map { RawJSON(trusted: Array($0)[...]) },
            failure: (row["failure"] as Data?).flatMap {
                Failure(json: RawJSON(trusted: Array($0)[...]))
            },
            idempotencyKey: row["idempotency_key"])
        job.traceparent = row["traceparent"]
        if let attempts = row["failed_attempts"] as Data? {
            job.failedAttempts = RawJSON(trusted: Array(attempts)[...]).elements().compactMap(
                FailedAttempt.init(json:))
        }
        return job
    }

    static func bytes(_ data: Data) -> [UInt8] { Array(data) }

    private static func time(_ value: Int64?) -> Timestamp? {
        value.map { Timestamp(microseconds: $0) }
    }
}
