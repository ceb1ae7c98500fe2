import GRDB
import GRDBSQLite
package import Jobs
package import Threads

/// A job's submission and result, which may be too large to be in memory for each of their readers.
extension SQLiteJobStore {
    package func summary(
        of id: JobID, resultUpTo maxBytes: Int,
    ) async throws(StoreError) -> Job? {
        let files = payloads.files
        let found = try await read { database in
            // The size of a value stands at its beginning: what is too large is not touched.
            let statement = try RowStatement(
                cached: """
                    SELECT \(JobRow.columnsOfSummary) FROM jobs WHERE id = ? AND uuid_low = ?
                    """, database)
            return try statement.first(
                {
                    $0.add(maxBytes)
                    $0.add(id.sequence)
                    $0.add(Int64(bitPattern: id.low))
                }, { (job: try JobRow.summary($0), hasResult: try JobRow.hasResult($0, files)) })
        }
        guard var job = found?.job else { return nil }
        if found?.hasResult == false {
            job.unreadResultBytes = nil
            if try await isThere(job) {
                report(damaged: id.sequence, Self.missing("result", of: id))
            }
        }
        return job
    }

    /// Whether a job still has a result; it may have lost it since it was read.
    private func isThere(_ job: Job) async throws(StoreError) -> Bool {
        try await read { database in
            try RowStatement(
                cached: "SELECT 1 FROM jobs WHERE id = ? AND ended_at = ? AND result IS NOT NULL",
                database
            ).first(
                { row in
                    row.add(job.id.sequence)
                    row.add(job.endedAt?.microseconds)
                }, { _ in true }) ?? false
        }
    }

    package func result(
        of id: JobID, endedAt: Timestamp, from offset: Int, maxBytes: Int,
    ) async throws(StoreError) -> [UInt8]? {
        let files = payloads.files
        return try await read { database in
            guard let place = try Self.resultPlace(id, endedAt, database) else { return nil }
            if let file = place.file { return try files.read(file, from: offset, maxBytes) }
            let count = min(maxBytes, place.size - offset)
            guard offset >= 0, count > 0 else { return [] }
            return try Self.part(offset, count, of: "result", ofRow: id.sequence, database)
        }
    }

    package func resultFile(
        of id: JobID, endedAt: Timestamp,
    ) async throws(StoreError) -> OpenFile? {
        let (files, readers) = (payloads.files, readers)
        return try await read { database in
            guard let name = try Self.resultPlace(id, endedAt, database)?.file else { return nil }
            do throws(FileError) {
                return try OpenFile(files.place(of: name), on: readers)
            } catch {
                throw StoreError(error.code, error.doing)
            }
        }
    }

    /// The size of the value in a result's row, and the name of the file if that is what it is.
    private static func resultPlace(
        _ id: JobID, _ endedAt: Timestamp, _ database: Database,
    ) throws -> (size: Int, file: String?)? {
        try RowStatement(
            cached: """
                SELECT length(result), CASE typeof(result) WHEN 'text' THEN result END
                FROM jobs
                WHERE id = ? AND uuid_low = ? AND ended_at = ? AND result IS NOT NULL
                """, database
        ).first(
            { row in
                row.add(id.sequence)
                row.add(Int64(bitPattern: id.low))
                row.add(endedAt.microseconds)
            }, { (Int($0.number(0)), $0.optionalText(1)) })
    }

    package func submission(
        of id: JobID, from offset: Int, maxBytes: Int,
    ) async throws(StoreError) -> SubmissionPart? {
        let files = payloads.files
        return try await read { database in
            let statement = try RowStatement(
                cached: """
                    SELECT CASE typeof(submission) WHEN 'text' THEN
                            (SELECT bytes FROM payloads WHERE file = submission)
                        ELSE length(submission) END,
                        CASE typeof(submission) WHEN 'text' THEN submission END
                    FROM jobs WHERE id = ? AND uuid_low = ?
                    """, database)
            let place = try statement.first(
                { row in
                    row.add(id.sequence)
                    row.add(Int64(bitPattern: id.low))
                }, { (Int($0.number(0)), $0.optionalText(1)) })
            guard let (size, file) = place else { return nil }
            if let file {
                guard let bytes = try files.read(file, from: offset, maxBytes) else {
                    throw Self.missing("submission", of: id)
                }
                return SubmissionPart(bytes: bytes, of: size)
            }
            let count = min(maxBytes, size - offset)
            guard offset >= 0, count > 0 else { return SubmissionPart(bytes: [], of: size) }
            return SubmissionPart(
                bytes: try Self.part(offset, count, of: "submission", ofRow: id.sequence, database),
                of: size)
        }
    }

    private static func missing(_ part: String, of id: JobID) -> StoreError {
        .failed("The file with the \(part) of job \(id) is not there; see martlet doctor.")
    }

    /// `count` bytes of a column of a row, from `offset` on, without the rest of it.
    ///
    /// SQLite has the pages of a value as a chain that it follows from the start: a part costs as
    /// many steps as there are pages before it.
    private static func part(
        _ offset: Int, _ count: Int, of column: String, ofRow row: Int64, _ database: Database,
    ) throws -> [UInt8] {
        var blob: OpaquePointer?
        try database.check(
            sqlite3_blob_open(database.sqliteConnection, "main", "jobs", column, row, 0, &blob))
        defer { sqlite3_blob_close(blob) }
        return try [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            let code = sqlite3_blob_read(
                blob, buffer.baseAddress, Int32(count), Int32(offset))
            try database.check(code)
            initialized = count
        }
    }
}
