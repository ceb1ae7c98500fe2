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
        let files =
            jobs.contains { isLarge($0.submission.document) }
            ? try await keepLarge("submission", of: jobs) { $0.submission.document } : [:]
        let keySeconds = settings.keySeconds
        return try await writer.perform(files: files.values, durable: durable) {
            database, statements in
            let search = LikeJobSearch(database, keySeconds: keySeconds, isStopping: isStopping)
            if let batch, let first = jobs.first,
                let earlier = try search.batch(batch, before: first.createdAt)
            {
                guard let ids = earlier.ids else { return jobs.map { _ in .keyReused } }
                return ids.map { .repeated($0) }
            }
            if let batch, let first = jobs.first,
                try search.isOfJob(batch.key, at: first.createdAt)
            {
                return jobs.map { _ in .keyReused }
            }
            let outcomes = try jobs.map { job in
                if let (twin, likeness) = try search.twin(of: job) {
                    return InsertOutcome.existing(twin, likeness)
                }
                if try search.isOfBatch(job) { return .keyReused }
                try statements.insert(job, submission: files[job.id])
                return .stored
            }
            if let batch { try search.note(batch, jobs, outcomes) }
            return outcomes
        }
    }

    package func noteStarted(_ id: JobID, attempt: Int, at time: Timestamp) {
        writer.submit(
            LooseChange(
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
        let files =
            isLarge(job.result) ? try await keepLarge("result", of: [job]) { $0.result } : [:]
        try await writer.perform(files: files.values) { _, statements in
            if try statements.update(job, result: files[job.id]), !segments.isEmpty {
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

    // MARK: Files

    /// Whether a text is too large for a row.
    private func isLarge(_ text: RawJSON?) -> Bool {
        text?.bytes.count ?? 0 > settings.inlineBytes
    }

    /// Writes what is too large for a row to files, which are on the disk when it returns; the
    /// row that names them comes after.
    private func keepLarge(
        _ part: String, of jobs: [Job], _ text: (Job) -> RawJSON?,
    ) async throws(StoreError) -> [JobID: PayloadFile] {
        var files: [JobID: PayloadFile] = [:]
        var texts: [(file: PayloadFile, text: RawJSON)] = []
        for job in jobs {
            guard let text = text(job), isLarge(text) else { continue }
            let file = PayloadFile(part, of: job.id, bytes: text.bytes.count)
            files[job.id] = file
            texts.append((file, text))
        }
        // A result is fetched by its client; a submission is in memory until it runs or, with many
        // before it, is not read for long.
        try await payloads.keep(texts, isReadSoon: part == "result")
        return files
    }
}
