import GRDB
import Jobs

/// The list of the files that rows name, kept in the transactions that change these.
final class PayloadStatements: @unchecked Sendable {
    // Unchecked: made by the one writing connection and used in its transactions alone.
    private let database: Database
    /// Bytes of the store with its files; nil for as many as the disk has.
    private let maxBytes: Int64?
    private let insert: RowStatement
    private let delete: RowStatement
    /// Names of files that the transaction under way has put into the list, and files that it has
    /// taken out.
    private var added: Set<String> = []
    private var dropped: [PayloadFile] = []
    private var isChanged = false
    /// Of all files that rows name, with what the transaction under way has changed: to add them up
    /// for each new one would cost the more the more there are.
    private var fileBytes: Int64 = 0
    /// The same before the transaction.
    private var committedBytes: Int64 = 0

    init(_ database: Database, maxBytes: Int64?) throws {
        self.database = database
        self.maxBytes = maxBytes
        insert = try RowStatement(
            database, "INSERT INTO payloads (file, job, bytes) VALUES (?, ?, ?)")
        delete = try RowStatement(database, "DELETE FROM payloads WHERE file = ? RETURNING bytes")
        fileBytes = try Self.fileBytes(database)
        committedBytes = fileBytes
        try leaveRoom()
    }

    /// Notes that a job's row names a file.
    ///
    /// - Throws: `full` when the store is larger with it than it may be.
    func add(_ file: PayloadFile, of job: Int64) throws {
        try insert.run { row in
            row.add(file.name)
            row.add(job)
            row.add(file.bytes)
        }
        added.insert(file.name)
        isChanged = true
        fileBytes += Int64(file.bytes)
        if let maxBytes, try Self.pageBytes(database) + fileBytes > maxBytes {
            throw StoreError.full("The store has reached its bound, \(maxBytes) bytes.")
        }
    }

    /// Notes that no row names these files any more, where there are any.
    func drop(_ names: String?...) throws {
        for name in names.compactMap(\.self) {
            let bytes = try delete.first({ $0.add(name) }, { Int($0.number(0)) })
            dropped.append(PayloadFile(name: name, bytes: bytes ?? 0))
            fileBytes -= Int64(bytes ?? 0)
            isChanged = true
        }
    }

    /// The last thing that a transaction does.
    func finish() throws {
        if isChanged { try leaveRoom() }
        isChanged = false
    }

    /// What the transaction has changed, once it is committed: the files taken out are to be
    /// removed.
    func takeChanges() -> (added: Set<String>, dropped: [PayloadFile]) {
        defer {
            added = []
            dropped = []
            committedBytes = fileBytes
        }
        return (added, dropped)
    }

    /// Forgets what a transaction that was undone has done; the bound is set anew by the next one.
    func reset() {
        added = []
        dropped = []
        isChanged = true
        fileBytes = committedBytes
    }

    /// Leaves the database as many pages as the files leave of the bound; never less than it has.
    private func leaveRoom() throws {
        guard let maxBytes else { return }
        let pages = max(1, (maxBytes - fileBytes) / 4096)
        try database.execute(sql: "PRAGMA max_page_count = \(pages)")
    }

    // MARK: Looking

    /// Bytes of the files and of the pages that hold something.
    static func usedBytes(_ database: Database) throws -> Int64 {
        try pageBytes(database) + fileBytes(database)
    }

    /// Bytes of the pages that hold something.
    private static func pageBytes(_ database: Database) throws -> Int64 {
        func pragma(_ name: String) throws -> Int64 {
            try Int64.fetchOne(database, sql: "PRAGMA \(name)") ?? 0
        }
        let pages = try pragma("page_count") - pragma("freelist_count")
        return try pages * pragma("page_size")
    }

    private static func fileBytes(_ database: Database) throws -> Int64 {
        try RowStatement(cached: "SELECT coalesce(sum(bytes), 0) FROM payloads", database)
            .first({ _ in }, { $0.number(0) }) ?? 0
    }

    /// All files that rows name.
    static func files(_ database: Database) throws -> [PayloadFile] {
        var found: [PayloadFile] = []
        try RowStatement(database, "SELECT file, bytes FROM payloads").rows({ _ in }) { row in
            found.append(PayloadFile(name: row.text(0), bytes: Int(row.number(1))))
            return true
        }
        return found
    }
}
