import Foundation
import GRDB
package import Jobs
import RawJSON
import Threads

/// Jobs in one SQLite file, in write-ahead mode with `synchronous=FULL`.
///
/// Changes go through `StoreWriter`; reads run on threads of their own, each on a snapshot, and
/// never wait for the writer.
package final class SQLiteJobStore: JobStore {
    private let pool: DatabasePool
    private let lock: StoreLock
    let writer: StoreWriter
    /// Of the database file.
    let path: String
    private let readers: ThreadExecutor

    /// Opens the store of a data folder, which is made if it is not there.
    ///
    /// - Throws: `locked` when another server uses the folder, `failed` when the file is damaged
    ///   or of a later version; nothing is deleted.
    package init(directory: String, readers: Int = 2) throws(StoreError) {
        lock = try StoreLock(directory: directory)
        let path = directory + "/martlet.sqlite"
        self.path = path
        var configuration = Configuration()
        configuration.maximumReaderCount = readers
        configuration.busyMode = .timeout(5)
        configuration.prepareDatabase { database in
            try database.execute(sql: "PRAGMA cache_size = -8000")
        }
        let statements: JobStatements
        do {
            pool = try DatabasePool(path: path, configuration: configuration)
            let isLater = try pool.read { try Schema.migrator.hasBeenSuperseded($0) }
            guard !isLater else {
                throw StoreError.failed("\(path) was written by a later version of Martlet.")
            }
            // Only here: GRDB has set NORMAL when it turned write-ahead mode on, after
            // `prepareDatabase`. The first pool connection is the only one that writes.
            let level = try pool.writeWithoutTransaction { database in
                try database.execute(
                    sql: """
                        PRAGMA synchronous = FULL;
                        PRAGMA wal_autocheckpoint = \(Self.logPages);
                        PRAGMA journal_size_limit = \(64 << 20)
                        """)
                return try Int.fetchOne(database, sql: "PRAGMA synchronous")
            }
            guard level == 2 else {
                throw StoreError.failed(
                    "\(path): SQLite does not sync at every commit (\(level ?? -1))")
            }
            try Schema.migrator.migrate(pool)
            statements = try pool.writeWithoutTransaction { try JobStatements($0) }
        } catch let error as StoreError {
            lock.release()
            throw error
        } catch {
            lock.release()
            throw .failed("cannot use \(path): \(error)")
        }
        writer = StoreWriter(pool: pool, statements: statements)
        self.readers = ThreadExecutor(name: "store-reader", threads: readers)
    }

    /// Pages of the write-ahead log after which it is written back into the file: 16 MB.
    private static let logPages = 4000

    /// Transactions committed so far.
    package var commitCount: Int { writer.commitCount }

    /// Lets the data folder go.
    ///
    /// Call it when nothing uses the store any more.
    package func close() {
        writer.stop()
        readers.stop()
        try? pool.close()  // the file is whole without it: the log is replayed at the next start
        lock.release()
    }

    /// Makes a change some time soon, without waiting for it.
    func change(
        _ body: @escaping @Sendable (Database) throws -> Void,
        done: @escaping @Sendable (StoreError?) -> Void,
    ) {
        writer.submit(StoreWriter.Change(body: { database, _ in try body(database) }, done: done))
    }

    func read<Value: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Value,
    ) async throws(StoreError) -> Value {
        let result: Result<Value, StoreError> = await withUnsafeContinuation { continuation in
            readers.execute {
                do {
                    continuation.resume(returning: .success(try self.pool.read(body)))
                } catch {
                    continuation.resume(returning: .failure(StoreError(error)))
                }
            }
        }
        return try result.get()
    }

    // MARK: Changes

    package func insert(
        _ jobs: [Job], durable: @escaping @Sendable ([InsertOutcome]) -> Void,
    ) async throws(StoreError) -> [InsertOutcome] {
        try await writer.perform(durable: durable) { database, statements in
            try jobs.map { job in
                if let key = job.idempotencyKey, let existing = try Self.job(database, key: key) {
                    return .existing(existing)
                }
                try statements.insertJob.run { JobRow.bind(job, to: &$0) }
                for tag in job.submission.tags {
                    try statements.insertTag.run { row in
                        row.add(tag)
                        row.add(job.id.sequence)
                    }
                }
                return .stored
            }
        }
    }

    private static func job(_ database: Database, key: String) throws -> Job? {
        try Row.fetchOne(
            database, sql: "SELECT \(JobRow.columns) FROM jobs WHERE idempotency_key = ?",
            arguments: [key]
        ).flatMap(JobRow.job)
    }

    package func noteStarted(_ id: JobID, attempt: Int, at time: Timestamp) {
        writer.submit(
            StoreWriter.Change(
                body: { _, statements in
                    try statements.noteStarted.run { row in
                        row.add(attempt)
                        row.add(time.microseconds)
                        row.add(id.sequence)
                    }
                },
                done: { _ in
                    // A note that was lost is written again with the attempt's end.
                }))
    }

    package func saveItems(_ id: JobID, _ segments: [ItemSegment]) async throws(StoreError) {
        try await writer.perform { database, statements in
            let isThere = try Int.fetchOne(
                database.cachedStatement(sql: "SELECT 1 FROM jobs WHERE id = ?"),
                arguments: [id.sequence])
            if isThere != nil { try Self.save(segments, of: id, statements) }
        }
    }

    private static func save(
        _ segments: [ItemSegment], of id: JobID, _ statements: JobStatements,
    ) throws {
        for segment in segments {
            let failures = segment.failures.map { String(decoding: $0.json.bytes, as: UTF8.self) }
            try statements.saveItems.run { row in
                row.add(id.sequence)
                row.add(segment.first)
                row.add(segment.count)
                row.add(segment.results)
                row.add(failures.isEmpty ? nil : "[" + failures.joined(separator: ",") + "]")
            }
        }
    }

    package func update(_ job: Job, adding segments: [ItemSegment]) async throws(StoreError) {
        try await writer.perform { database, statements in
            try statements.update.run { row in
                row.add(job.state.rawValue)
                row.add(job.attempt)
                row.add(job.notBefore?.microseconds)
                row.add(job.startedAt?.microseconds)
                row.add(job.endedAt?.microseconds)
                row.add(job.expiresAt?.microseconds)
                row.add(job.itemsDone)
                row.add(job.itemsFailed)
                JobRow.bindOutcome(job, to: &row)
                row.add(job.id.sequence)
            }
            if !segments.isEmpty, database.changesCount > 0 {
                try Self.save(segments, of: job.id, statements)
            }
        }
    }

    package func dropItems(_ id: JobID, onlyFailed: Bool) async throws(StoreError) {
        try await writer.perform { database, statements in
            let condition = "job = \(id.sequence)" + (onlyFailed ? " AND failures IS NOT NULL" : "")
            var kept: [ItemSegment] = []
            if onlyFailed {
                kept = try Row.fetchAll(
                    database,
                    sql: "SELECT first, count, results, failures FROM items WHERE \(condition)"
                ).flatMap { Self.segment($0).withoutFailed() }
            }
            try database.execute(sql: "DELETE FROM items WHERE \(condition)")
            try Self.save(kept, of: id, statements)
        }
    }

    package func delete(_ id: JobID) async throws(StoreError) -> Bool {
        try await writer.perform { database, _ in
            try database.execute(
                sql: "DELETE FROM jobs WHERE id = ? AND uuid_low = ?",
                arguments: [id.sequence, Int64(bitPattern: id.low)])
            guard database.changesCount > 0 else { return false }
            try Self.forgetParts(database, where: "job = \(id.sequence)")
            return true
        }
    }

    private static func forgetParts(_ database: Database, where condition: String) throws {
        try database.execute(
            sql: "DELETE FROM items WHERE \(condition); DELETE FROM job_tags WHERE \(condition);"
                + " DELETE FROM logs WHERE \(condition)")
    }

    package func recover(at time: Timestamp) async throws(StoreError) -> RecoveryReport {
        try await writer.perform { database, _ in
            try database.execute(
                sql: """
                    UPDATE jobs SET state = 'cancelled', ended_at = ? WHERE state = 'cancelling'
                    """, arguments: [time.microseconds])
            try database.execute(sql: "UPDATE jobs SET state = 'queued' WHERE state = 'running'")
            let requeued = database.changesCount
            let queued = try Int.fetchOne(
                database, sql: "SELECT count(*) FROM jobs WHERE state = 'queued'")
            let last = try Int64.fetchOne(database, sql: "SELECT max(id) FROM jobs")
            return RecoveryReport(requeued: requeued, queued: queued ?? 0, lastSequence: last ?? 0)
        }
    }

    package func prune(
        expiredBefore time: Timestamp, forgottenBefore: Timestamp,
    ) async throws(StoreError) {
        // In steps, so that the jobs submitted meanwhile do not wait for a long transaction.
        while try await writer.perform({ database, _ in
            try Self.forget(before: forgottenBefore, database)
        }) {}
        while try await writer.perform({ database, _ in
            try Self.dropResults(before: time, database)
        }) {}
    }

    /// How many jobs one transaction of `prune` may touch.
    private static let pruneStep = 1000

    private static func forget(before time: Timestamp, _ database: Database) throws -> Bool {
        let forgotten = try Int64.fetchAll(
            database, sql: "SELECT id FROM jobs WHERE expires_at < ? LIMIT ?",
            arguments: [time.microseconds, pruneStep])
        let ids = forgotten.map(String.init).joined(separator: ",")
        try forgetParts(database, where: "job IN (\(ids))")
        try database.execute(sql: "DELETE FROM jobs WHERE id IN (\(ids))")
        return forgotten.count == pruneStep
    }

    private static func dropResults(before time: Timestamp, _ database: Database) throws -> Bool {
        let expired = try Int64.fetchAll(
            database,
            sql: """
                SELECT id FROM jobs WHERE expires_at < ?
                    AND (result IS NOT NULL OR EXISTS (SELECT 1 FROM items WHERE job = jobs.id))
                LIMIT ?
                """, arguments: [time.microseconds, pruneStep])
        let ids = expired.map(String.init).joined(separator: ",")
        try database.execute(sql: "DELETE FROM items WHERE job IN (\(ids))")
        try database.execute(sql: "UPDATE jobs SET result = NULL WHERE id IN (\(ids))")
        return expired.count == pruneStep
    }

    // MARK: Reading

    package func items(
        _ id: JobID, _ cursor: ItemCursor, onlyFailed: Bool, maxBytes: Int,
    ) async throws(StoreError) -> ItemPage {
        try await read { database in
            let (condition, place): (String, Int64) =
                switch cursor {
                case .index(let first):
                    // From the segment that begins last at or before the item.
                    (
                        """
                        first >= (SELECT coalesce(max(first), 0) FROM items
                            WHERE job = ?1 AND first <= ?2)
                            AND first + count > ?2
                            \(onlyFailed ? "AND failures IS NOT NULL" : "") ORDER BY first
                        """, Int64(first)
                    )
                case .written(let after):
                    (
                        """
                        rowid > ?2 \(onlyFailed ? "AND failures IS NOT NULL" : "") ORDER BY rowid
                        """, after
                    )
                }
            let rows = try Row.fetchCursor(
                database,
                sql: """
                    SELECT rowid, first, count, results, failures FROM items
                    WHERE job = ?1 AND \(condition)
                    """, arguments: [id.sequence, place])
            var page = ItemPage(segments: [], next: cursor)
            var size = 0
            while page.segments.isEmpty || size < maxBytes, let row = try rows.next() {
                let segment = Self.segment(row)
                size += segment.results.count
                page.segments.append(segment)
                page.next =
                    if case .index = cursor { .index(segment.end) } else {
                        .written(after: row["rowid"])
                    }
            }
            return page
        }
    }

    private static func segment(_ row: Row) -> ItemSegment {
        let failures = (row["failures"] as String?).map { text in
            RawJSON(trusted: Array(text.utf8)[...]).elements().compactMap(Failure.init(json:))
        }
        return ItemSegment(
            first: row["first"], count: row["count"], results: JobRow.bytes(row["results"]),
            failures: failures ?? [])
    }

    package func itemRanges(_ id: JobID) async throws(StoreError) -> [Range<Int>] {
        try await read { database in
            try Row.fetchAll(
                database, sql: "SELECT first, count FROM items WHERE job = ? ORDER BY first",
                arguments: [id.sequence]
            ).map { row in
                let first: Int = row["first"]
                return first..<first + (row["count"] as Int)
            }
        }
    }

    package func list(_ query: JobQuery) async throws(StoreError) -> [Job] {
        try await read { database in
            var conditions: [String] = []
            var arguments: [(any DatabaseValueConvertible)?] = []
            func restrict(_ condition: String, _ value: (any DatabaseValueConvertible)?) {
                guard let value else { return }
                conditions.append(condition)
                arguments.append(value)
            }
            restrict("state = ?", query.state?.rawValue)
            restrict("function = ?", query.function)
            restrict("queue = ?", query.queue)
            restrict("id IN (SELECT job FROM job_tags WHERE tag = ?)", query.tag)
            restrict("id < ?", query.before?.sequence)
            let filter = conditions.isEmpty ? "" : "WHERE " + conditions.joined(separator: " AND ")
            return try Row.fetchAll(
                database,
                sql: """
                    SELECT \(JobRow.columnsOfList) FROM jobs \(filter) ORDER BY id DESC
                    LIMIT \(query.limit)
                    """, arguments: StatementArguments(arguments)
            ).compactMap(JobRow.job)
        }
    }

    package func queued(
        in pool: PoolKind, dueAt time: Timestamp, limit: Int,
    ) async throws(StoreError) -> [Job] {
        try await read { database in
            try Row.fetchAll(
                database,
                sql: """
                    SELECT \(JobRow.columns) FROM jobs INDEXED BY jobs_queued
                    WHERE state = 'queued' AND pool = ? AND (not_before IS NULL OR not_before <= ?)
                    ORDER BY priority DESC, id LIMIT ?
                    """, arguments: [pool.rawValue, time.microseconds, limit]
            ).compactMap(JobRow.job)
        }
    }

    package func nextDue(after time: Timestamp) async throws(StoreError) -> Timestamp? {
        try await read { database in
            try Int64.fetchOne(
                database,
                sql: "SELECT min(not_before) FROM jobs WHERE state = 'queued' AND not_before > ?",
                arguments: [time.microseconds]
            ).map { Timestamp(microseconds: $0) }
        }
    }

    package func counts() async throws(StoreError) -> [QueueCount] {
        try await read { database in
            try Row.fetchAll(
                database,
                sql: """
                    SELECT queue, state, count(*) AS number FROM jobs GROUP BY queue, state
                    ORDER BY queue, state
                    """
            ).compactMap { row in
                JobState(rawValue: row["state"]).map { state in
                    QueueCount(queue: row["queue"], state: state, count: row["number"])
                }
            }
        }
    }
}
