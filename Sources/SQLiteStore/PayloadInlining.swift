import GRDB
import GRDBSQLite
import Jobs

/// Puts what a copy of the database has in files into its rows, so that the copy is one file.
enum PayloadInlining {
    /// Bytes that are copied at once.
    private static let step = 1 << 20

    /// Takes the files of `files` into the database at `path`, which nobody else uses.
    ///
    /// A file that is not there stays named, for the doctor to find, in the copy as in the store.
    ///
    /// - Throws: `failed` for one over 1 GB, which no row can hold.
    static func run(_ path: String, _ files: PayloadFiles) throws {
        var configuration = Configuration()
        configuration.prepareDatabase { database in
            // The copy is nothing before it is whole and synced.
            try database.execute(sql: "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")
        }
        let copy = try DatabaseQueue(path: path, configuration: configuration)
        try copy.inDatabase { database in
            let rows = try Row.fetchAll(
                database,
                sql: """
                    SELECT file, job, bytes, typeof(submission) = 'text' AND submission = file
                        AS is_submission
                    FROM payloads JOIN jobs ON jobs.id = job
                    """)
            for row in rows {
                guard let reader = try PayloadReader(files.place(of: row["file"])) else { continue }
                defer { reader.close() }
                let column = row["is_submission"] ? "submission" : "result"
                try take(reader, database, into: column, of: row["job"])
                try database.execute(
                    sql: "DELETE FROM payloads WHERE file = ?", arguments: [row["file"] as String])
            }
        }
        try copy.close()
    }

    private static func take(
        _ reader: PayloadReader, _ database: Database, into column: String, of job: Int64,
    ) throws {
        try database.execute(
            sql: "UPDATE jobs SET \(column) = zeroblob(?) WHERE id = ?",
            arguments: [reader.count, job])
        let connection = database.sqliteConnection
        var blob: OpaquePointer?
        try database.check(sqlite3_blob_open(connection, "main", "jobs", column, job, 1, &blob))
        defer { sqlite3_blob_close(blob) }
        var offset = 0
        while offset < reader.count {
            let piece = try reader.read(from: offset, step)
            guard !piece.isEmpty else { break }  // cut short: what is missing stays zero bytes
            try database.check(
                sqlite3_blob_write(blob, piece, Int32(piece.count), Int32(offset)))
            offset += piece.count
        }
    }
}

extension Database {
    /// Throws what a call of SQLite's own interface has met.
    func check(_ code: Int32) throws {
        guard code != SQLITE_OK else { return }
        throw DatabaseError(
            resultCode: ResultCode(rawValue: code),
            message: sqlite3_errmsg(sqliteConnection).map { String(cString: $0) })
    }
}
