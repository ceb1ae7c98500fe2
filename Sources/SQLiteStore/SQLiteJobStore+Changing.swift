import Foundation
import GRDB
package import Jobs
import RawJSON

/// Changes, each durable when its method returns.
extension SQLiteJobStore {
    package func insert(
        _ jobs: [Job], durable: @escaping @Sendable ([InsertOutcome]) -> Void,
    ) async throws(StoreError) -> [InsertOutcome] {
        let keySeconds = settings.keySeconds
        return try await writer.perform(durable: durable) { database, statements in
            try jobs.map { job in
                if let key = job.idempotencyKey,
                    let existing = try Self.job(
                        database, key: key, since: job.createdAt.adding(seconds: -keySeconds))
                {
                    return .existing(existing)
                }
                try statements.insert(job)
                return .stored
            }
        }
    }

    /// The job that has the key; one from before `start` loses it.
    private static func job(
        _ database: Database, key: String, since start: Timestamp,
    ) throws -> Job? {
        let find = try RowStatement(
            cached: "SELECT \(JobRow.columns) FROM jobs WHERE idempotency_key = ?", database)
        guard let job = try find.first({ $0.add(key) }, JobRow.job) else { return nil }
        if job.createdAt > start { return job }
        try database.execute(
            sql: "UPDATE jobs SET idempotency_key = NULL WHERE id = ?",
            arguments: [job.id.sequence])
        return nil
    }

    package func noteStarted(_ id: JobID, attempt: Int, at time: Timestamp) {
        writer.submit(
            StoreWriter.Change(
                body: { _, statements in
                    statements.noteStarted(id, attempt: attempt, at: time)
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
            if isThere != nil { try statements.save(segments, of: id) }
        }
    }

    package func update(_ job: Job, adding segments: [ItemSegment]) async throws(StoreError) {
        try await writer.perform { _, statements in
            if try statements.update(job), !segments.isEmpty {
                try statements.save(segments, of: job.id)
            }
        }
    }

    package func dropItems(_ id: JobID, onlyFailed: Bool) async throws(StoreError) {
        try await writer.perform { database, statements in
            guard onlyFailed else { return try statements.dropItems(id.sequence) }
            let condition = "job = \(id.sequence) AND failures IS NOT NULL"
            let kept = try Row.fetchAll(
                database,
                sql: "SELECT first, count, results, failures FROM items WHERE \(condition)"
            ).flatMap { Self.segment($0).withoutFailed() }
            try database.execute(sql: "DELETE FROM items WHERE \(condition)")
            try statements.save(kept, of: id)
        }
    }

    package func delete(_ id: JobID) async throws(StoreError) -> Bool {
        try await writer.perform { _, statements in
            try statements.delete(id.sequence, low: Int64(bitPattern: id.low))
        }
    }
}
