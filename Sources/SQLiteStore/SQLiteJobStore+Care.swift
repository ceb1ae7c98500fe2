import GRDB
package import Jobs
import Synchronization

/// What keeps the store in order: at the start, and from time to time.
extension SQLiteJobStore {
    package func recover(
        at time: Timestamp, keepSeconds: Double,
    ) async throws(StoreError) -> RecoveryReport {
        let files = payloads.files
        return try await writer.perform { database, statements in
            for id in try Self.ids(in: .cancelling, database) {
                guard var job = try Self.job(id, database, files) else { continue }
                job.state = .cancelled
                job.endedAt = time
                job.failure = .cancelled
                job.expiresAt = time.adding(seconds: job.submission.keep ?? keepSeconds)
                _ = try statements.update(job)
            }
            let running = try Self.ids(in: .running, database)
            for id in running { try statements.queue(id) }
            try statements.buckets.flush()
            let last = try Int64.fetchOne(database, sql: "SELECT max(id) FROM jobs")
            return RecoveryReport(requeued: running.count, lastSequence: last ?? 0)
        }
    }

    private static func ids(in state: JobState, _ database: Database) throws -> [Int64] {
        try RowStatement(
            cached: """
                SELECT jobs.id FROM buckets JOIN jobs INDEXED BY jobs_bucket
                    ON jobs.bucket = buckets.id
                WHERE buckets.state = ? AND buckets.count > 0
                """, database
        ).numbers { $0.add(state.rawValue) }
    }

    private static func job(
        _ id: Int64, _ database: Database, _ files: PayloadFiles,
    ) throws -> Job? {
        try RowStatement(cached: "SELECT \(JobRow.columns) FROM jobs WHERE id = ?", database)
            .first({ $0.add(id) }, { try JobRow.job($0, files) })
    }

    // MARK: Expiry

    package func prune(
        expiredBefore time: Timestamp, forgottenBefore: Timestamp,
    ) async throws(StoreError) {
        // In steps, so that the jobs submitted meanwhile do not wait for a long transaction.
        let keySeconds = settings.keySeconds
        payloads.tidy()
        while try await writer.perform({ database, statements in
            try Self.forget(
                before: forgottenBefore, keysFrom: time.adding(seconds: -keySeconds), database,
                statements)
        }) {}
        try await dropResults(before: time)
        try await makeRoom()
        try await writer.perform { database, statements in
            try statements.buckets.flush()
            try database.execute(sql: "DELETE FROM buckets WHERE count = 0")
            if database.changesCount > 0 { statements.buckets.forgetNumbers() }
            try RowStatement(cached: "DELETE FROM batches WHERE created_at < ?", database).run {
                $0.add(time.adding(seconds: -keySeconds).microseconds)
            }
        }
    }

    /// How many jobs one transaction may touch.
    static let careStep = 500

    /// Forgets some old jobs, but for those that their keys, younger than `keys`, still name.
    private static func forget(
        before time: Timestamp, keysFrom keys: Timestamp, _ database: Database,
        _ statements: JobStatements,
    ) throws -> Bool {
        let old = try RowStatement(
            cached: """
                SELECT id FROM jobs WHERE expires_at < ?
                    AND (idempotency_key IS NULL OR created_at < ?) LIMIT \(careStep)
                """, database
        ).numbers { row in
            row.add(time.microseconds)
            row.add(keys.microseconds)
        }
        for id in old { _ = try statements.delete(id) }
        return old.count == careStep
    }

    /// Seconds by which the wall clock may have been put back between two calls.
    private static let clockSlack = 600.0

    /// Drops what jobs that expired before `time` have left; the jobs stay.
    ///
    /// Since the start it has gone through all that expired earlier, which is not looked at again.
    private func dropResults(before time: Timestamp) async throws(StoreError) {
        let start = droppedResults.withLock { $0.adding(seconds: -Self.clockSlack) }
        var place = (expiry: start.microseconds, id: Int64.min)
        while true {
            let from = place
            let found = try await read { database in
                try Self.expired(from: from, before: time, database)
            }
            guard let last = found.last else { break }
            try await writer.perform { database, statements in
                for (_, id) in found { _ = try Self.dropResult(id, database, statements) }
            }
            place = last
        }
        droppedResults.withLock { $0 = max($0, time) }
    }

    private static func expired(
        from place: (expiry: Int64, id: Int64), before time: Timestamp, _ database: Database,
    ) throws -> [(expiry: Int64, id: Int64)] {
        var found: [(expiry: Int64, id: Int64)] = []
        let statement = try RowStatement(
            cached: """
                SELECT expires_at, id FROM jobs INDEXED BY jobs_expiring
                WHERE expires_at >= ? AND expires_at < ? AND (expires_at, id) > (?, ?)
                    AND (result IS NOT NULL
                        OR item_count IS NOT NULL AND EXISTS (
                            SELECT 1 FROM items WHERE job = jobs.id))
                ORDER BY expires_at, id LIMIT \(careStep)
                """, database)
        try statement.rows { row in
            row.add(place.expiry)
            row.add(time.microseconds)
            row.add(place.expiry)
            row.add(place.id)
        } _: { row in
            found.append((row.number(0), row.number(1)))
            return true
        }
        return found
    }

    /// Drops the result and the items of a job that has ended; of another one nothing.
    ///
    /// - Returns: whether there was something to drop.
    static func dropResult(
        _ id: Int64, _ database: Database, _ statements: JobStatements,
    ) throws -> Bool {
        let find = try RowStatement(
            cached: """
                SELECT result IS NOT NULL, item_count IS NOT NULL,
                    CASE typeof(result) WHEN 'text' THEN result END
                FROM jobs WHERE id = ?
                    AND (state = 'succeeded' OR state = 'failed' OR state = 'cancelled')
                """, database)
        let found = try find.first({ $0.add(id) }) { row in
            (row.number(0) == 1, row.number(1) == 1, row.optionalText(2))
        }
        guard let (hasResult, isMap, file) = found else { return false }
        try statements.payloads.drop(file)
        // Without its result it is no answer to others.
        try RowStatement(
            cached: "UPDATE jobs SET result = NULL, cache_key = NULL WHERE id = ?", database
        ).run { $0.add(id) }
        guard isMap else { return hasResult }
        try statements.dropItems(id)
        return hasResult || database.changesCount > 0
    }
}
