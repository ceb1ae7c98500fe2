import Foundation
import GRDB
package import Jobs
import RawJSON

/// Changes, each durable when its method returns.
extension SQLiteJobStore {
    package func insert(
        _ jobs: [Job], batch: BatchKey?, leavingOut isStopping: @escaping @Sendable (JobID) -> Bool,
        durable: @escaping @Sendable ([InsertOutcome]) -> Void,
    ) async throws(StoreError) -> [InsertOutcome] {
        let keySeconds = settings.keySeconds
        return try await writer.perform(durable: durable) { database, statements in
            let search = LikeJobSearch(database, keySeconds: keySeconds, isStopping: isStopping)
            if let batch, let first = jobs.first,
                let earlier = try search.batch(batch, before: first.createdAt)
            {
                guard let ids = earlier.ids else { return jobs.map { _ in .keyReused } }
                return ids.map { .repeated($0) }
            }
            let outcomes = try jobs.map { job in
                if let (twin, likeness) = try search.twin(of: job) {
                    return InsertOutcome.existing(twin, likeness)
                }
                try statements.insert(job)
                return .stored
            }
            if let batch { try search.note(batch, jobs, outcomes) }
            return outcomes
        }
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
