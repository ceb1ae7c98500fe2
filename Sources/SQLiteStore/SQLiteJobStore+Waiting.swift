import GRDB
package import Jobs
import RawJSON

/// The jobs that wait for their turn or their time.
///
/// A delayed job lies in a bucket of its own kind, out of the dispatcher's way, until somebody
/// asks for what is due: then it goes to the bucket of those that are.
extension SQLiteJobStore {
    package func queued(
        in pool: PoolKind, dueAt time: Timestamp, limit: Int, maxBytes: Int,
        leavingOutFunctions isAbsent: @escaping @Sendable (String) -> Bool,
        leavingOut isKnown: @escaping @Sendable (JobID) -> Bool,
    ) async throws(StoreError) -> [Job] {
        try await moveDue(at: time)
        return try await read { database in
            var jobs: [Job] = []
            var bytes = 0
            for buckets in try Self.waitingBuckets(pool, database, leavingOut: isAbsent) {
                let isDone = try self.walk(buckets, database, leavingOut: isKnown) { job in
                    bytes += job.submission.document.bytes.count
                    guard jobs.count < limit, jobs.isEmpty || bytes <= maxBytes else {
                        return false
                    }
                    jobs.append(job)
                    return jobs.count < limit
                }
                if isDone { break }
            }
            return jobs
        }
    }

    package func nextDue(after time: Timestamp) async throws(StoreError) -> Timestamp? {
        try await read { database in
            try RowStatement(
                cached: """
                    SELECT wakes_at FROM jobs INDEXED BY jobs_delayed
                    WHERE wakes_at > ? ORDER BY wakes_at LIMIT 1
                    """, database
            ).first({ $0.add(time.microseconds) }, { Timestamp(microseconds: $0.number(0)) })
        }
    }

    /// The buckets of due jobs, those of the highest priority first.
    private static func waitingBuckets(
        _ pool: PoolKind, _ database: Database, leavingOut isAbsent: (String) -> Bool,
    ) throws -> [[Int64]] {
        var classes: [(priority: Int64, buckets: [Int64])] = []
        let statement = try RowStatement(
            cached: """
                SELECT id, priority, function FROM buckets
                WHERE state = 'queued' AND pool = ? AND delayed = 0 AND count > 0
                ORDER BY priority DESC
                """, database)
        try statement.rows { row in
            row.add(pool.rawValue)
        } _: { row in
            if isAbsent(row.text(2)) { return true }
            if classes.last?.priority != row.number(1) { classes.append((row.number(1), [])) }
            classes[classes.count - 1].buckets.append(row.number(0))
            return true
        }
        return classes.map(\.buckets)
    }

    /// How many row numbers are looked up at once.
    private static let walkStep = 1000

    /// Gives the jobs of some buckets, the oldest first, until `take` returns false.
    ///
    /// - Returns: whether it did.
    private func walk(
        _ buckets: [Int64], _ database: Database, leavingOut isKnown: (JobID) -> Bool,
        _ take: (Job) -> Bool,
    ) throws -> Bool {
        let row = try RowStatement(
            cached: "SELECT \(JobRow.columns) FROM jobs WHERE id = ?", database)
        var last = Int64.min
        while true {
            let ids = try Self.oldest(buckets, after: last, database)
            for id in ids {
                do {
                    let job = try row.first({ $0.add(id) }) { row in
                        isKnown(JobRow.id(row)) ? nil : try JobRow.job(row, payloads.files)
                    }
                    if let job = job ?? nil, !take(job) { return true }
                } catch let error as StoreError {
                    report(damaged: id, error)
                }
            }
            guard ids.count == Self.walkStep, let end = ids.last else { return false }
            last = end
        }
    }

    /// The first row numbers after `last` in some buckets, `walkStep` at most.
    static func oldest(
        _ buckets: [Int64], after last: Int64, _ database: Database,
    ) throws -> [Int64] {
        let statement = try RowStatement(
            cached: """
                SELECT ~id FROM jobs INDEXED BY jobs_bucket
                WHERE bucket = ? AND id > ? AND id < ? ORDER BY id LIMIT \(walkStep)
                """, database)
        // Turned round by the complement, the oldest are the newest.
        var found = NewestIDs(limit: walkStep)
        for bucket in buckets {
            found.merge(
                try statement.numbers { row in
                    row.add(bucket)
                    row.add(last)
                    row.add(~found.floor)
                })
        }
        return found.ids.map { ~$0 }
    }

    // MARK: Delayed jobs

    /// How many jobs one transaction may move.
    private static let moveStep = 1000

    /// Moves the delayed jobs that are due to those that wait for their turn.
    private func moveDue(at time: Timestamp) async throws(StoreError) {
        var isMore = try await read { database in
            try RowStatement(
                cached: """
                    SELECT 1 FROM jobs INDEXED BY jobs_delayed
                    WHERE wakes_at <= ? LIMIT 1
                    """, database
            ).first({ $0.add(time.microseconds) }, { _ in true }) ?? false
        }
        while isMore {
            isMore = try await writer.perform { database, statements in
                try Self.moveDue(at: time, database, statements)
            }
        }
    }

    private static func moveDue(
        at time: Timestamp, _ database: Database, _ statements: JobStatements,
    ) throws -> Bool {
        let due = try RowStatement(
            cached: """
                SELECT id FROM jobs INDEXED BY jobs_delayed
                WHERE wakes_at <= ? ORDER BY wakes_at LIMIT \(moveStep)
                """, database
        ).numbers { $0.add(time.microseconds) }
        for id in due { try statements.queue(id) }
        return due.count == moveStep
    }
}
