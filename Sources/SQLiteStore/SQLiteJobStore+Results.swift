import GRDB
import GRDBSQLite
package import Jobs

/// A job's result, which may be too large to be in memory for each of its readers.
extension SQLiteJobStore {
    package func summary(
        of id: JobID, resultUpTo maxBytes: Int,
    ) async throws(StoreError) -> Job? {
        try await read { database in
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
                }, JobRow.summary)
        }
    }

    package func result(
        of id: JobID, endedAt: Timestamp, from offset: Int, maxBytes: Int,
    ) async throws(StoreError) -> [UInt8]? {
        try await read { database in
            let statement = try RowStatement(
                cached: """
                    SELECT length(result) FROM jobs
                    WHERE id = ? AND uuid_low = ? AND ended_at = ? AND result IS NOT NULL
                    """, database)
            let size = try statement.numbers {
                $0.add(id.sequence)
                $0.add(Int64(bitPattern: id.low))
                $0.add(endedAt.microseconds)
            }.first.map { Int($0) }
            guard let size else { return nil }
            let count = min(maxBytes, size - offset)
            guard offset >= 0, count > 0 else { return [] }
            return try Self.part(offset, count, ofRow: id.sequence, database)
        }
    }

    /// `count` bytes of the result of a row, from `offset` on, without the rest of it.
    ///
    /// SQLite has the pages of a value as a chain that it follows from the start: a part costs as
    /// many steps as there are pages before it.
    private static func part(
        _ offset: Int, _ count: Int, ofRow row: Int64, _ database: Database,
    ) throws -> [UInt8] {
        let connection = database.sqliteConnection
        var blob: OpaquePointer?
        try check(
            sqlite3_blob_open(connection, "main", "jobs", "result", row, 0, &blob), connection)
        defer { sqlite3_blob_close(blob) }
        return try [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            let code = sqlite3_blob_read(
                blob, buffer.baseAddress, Int32(count), Int32(offset))
            try check(code, connection)
            initialized = count
        }
    }

    private static func check(_ code: Int32, _ connection: OpaquePointer?) throws {
        guard code != SQLITE_OK else { return }
        throw DatabaseError(
            resultCode: ResultCode(rawValue: code),
            message: sqlite3_errmsg(connection).map { String(cString: $0) })
    }
}
