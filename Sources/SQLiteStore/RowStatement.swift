import GRDB
import GRDBSQLite

/// A prepared statement whose values are bound and read through SQLite's C interface.
///
/// The statements that run for every job use it: GRDB's arguments would make an array of enums and
/// a `Data` of every blob. It belongs to the connection and the thread that made it.
struct RowStatement {
    private let statement: Statement

    init(_ database: Database, _ sql: String) throws {
        statement = try database.makeStatement(sql: sql)
    }

    /// One that the connection keeps prepared; not to be used while it runs.
    init(cached sql: String, _ database: Database) throws {
        statement = try database.cachedStatement(sql: sql)
    }

    /// Runs the statement once with the values that `bind` gives, in order.
    ///
    /// - Throws: `DatabaseError` with SQLite's own code and message.
    func run(_ bind: (inout RowValues) -> Void) throws {
        var values = RowValues(statement.sqliteStatement)
        bind(&values)
        defer { sqlite3_reset(statement.sqliteStatement) }
        _ = try step()
    }

    /// Reads the rows until `read` returns false.
    func rows(_ bind: (inout RowValues) -> Void, _ read: (RowReader) throws -> Bool) throws {
        var values = RowValues(statement.sqliteStatement)
        bind(&values)
        defer { sqlite3_reset(statement.sqliteStatement) }
        let row = RowReader(statement.sqliteStatement)
        while try step() {
            guard try read(row) else { return }
        }
    }

    /// What `read` makes of the first row; nil when there is none.
    func first<Value>(
        _ bind: (inout RowValues) -> Void, _ read: (RowReader) throws -> Value,
    ) throws -> Value? {
        var found: Value?
        try rows(bind) { row in
            found = try read(row)
            return false
        }
        return found
    }

    /// The whole numbers of the first column.
    func numbers(_ bind: (inout RowValues) -> Void) throws -> [Int64] {
        var found: [Int64] = []
        try rows(bind) { row in
            found.append(row.number(0))
            return true
        }
        return found
    }

    private func step() throws -> Bool {
        let handle = statement.sqliteStatement
        let code = sqlite3_step(handle)
        guard code == SQLITE_DONE || code == SQLITE_ROW else {
            let message = sqlite3_errmsg(sqlite3_db_handle(handle)).map { String(cString: $0) }
            throw DatabaseError(resultCode: ResultCode(rawValue: code), message: message)
        }
        return code == SQLITE_ROW
    }
}

/// The columns of the row at which a statement stands, by their place from 0.
struct RowReader {
    private let handle: OpaquePointer

    init(_ handle: OpaquePointer) { self.handle = handle }

    func isNull(_ column: Int32) -> Bool { sqlite3_column_type(handle, column) == SQLITE_NULL }

    func isText(_ column: Int32) -> Bool { sqlite3_column_type(handle, column) == SQLITE_TEXT }

    func number(_ column: Int32) -> Int64 { sqlite3_column_int64(handle, column) }

    func optionalNumber(_ column: Int32) -> Int64? { isNull(column) ? nil : number(column) }

    func text(_ column: Int32) -> String {
        String(decoding: buffer(column), as: UTF8.self)
    }

    func optionalText(_ column: Int32) -> String? { isNull(column) ? nil : text(column) }

    func bytes(_ column: Int32) -> [UInt8] { Array(buffer(column)) }

    func optionalBytes(_ column: Int32) -> [UInt8]? { isNull(column) ? nil : bytes(column) }

    /// The bytes of a blob or text, until the next step.
    private func buffer(_ column: Int32) -> UnsafeBufferPointer<UInt8> {
        let start = sqlite3_column_blob(handle, column)?.assumingMemoryBound(to: UInt8.self)
        return UnsafeBufferPointer(start: start, count: Int(sqlite3_column_bytes(handle, column)))
    }
}

/// Binds one value after the other; SQLite copies what it is given.
struct RowValues {
    private let handle: OpaquePointer
    private var count: Int32 = 0

    init(_ handle: OpaquePointer) { self.handle = handle }

    private static let copied = unsafeBitCast(-1, to: sqlite3_destructor_type.self)

    mutating func add(_ number: Int64) {
        count += 1
        sqlite3_bind_int64(handle, count, number)
    }

    mutating func add(_ number: Int) { add(Int64(number)) }

    mutating func add(_ number: Int64?) {
        guard let number else { return addNull() }
        add(number)
    }

    mutating func add(_ text: String) {
        count += 1
        var text = text
        text.withUTF8 { units in
            _ = units.withMemoryRebound(to: CChar.self) {
                sqlite3_bind_text(handle, count, $0.baseAddress, Int32($0.count), Self.copied)
            }
        }
    }

    mutating func add(_ text: String?) {
        guard let text else { return addNull() }
        add(text)
    }

    mutating func add(_ bytes: some Collection<UInt8>) {
        count += 1
        let isBound: Void? = bytes.withContiguousStorageIfAvailable { bytes in
            if bytes.isEmpty {
                sqlite3_bind_zeroblob(handle, count, 0)  // a null pointer would be NULL
            } else {
                sqlite3_bind_blob64(
                    handle, count, bytes.baseAddress, UInt64(bytes.count), Self.copied)
            }
        }
        if isBound == nil {
            count -= 1
            add(Array(bytes))
        }
    }

    mutating func add(optional bytes: [UInt8]?) {
        if let bytes { add(bytes) } else { addNull() }
    }

    mutating func addNull() {
        count += 1
        sqlite3_bind_null(handle, count)
    }
}
