import GRDB
import GRDBSQLite

/// A prepared statement whose values are bound through SQLite's C interface.
///
/// The statements that run for every job use it: GRDB's arguments would make an array of enums and
/// a `Data` of every blob. It belongs to the connection and the thread that made it.
struct RowStatement {
    private let statement: Statement

    init(_ database: Database, _ sql: String) throws {
        statement = try database.makeStatement(sql: sql)
    }

    /// Runs the statement once with the values that `bind` gives, in order.
    ///
    /// - Throws: `DatabaseError` with SQLite's own code and message.
    func run(_ bind: (inout RowValues) -> Void) throws {
        let handle = statement.sqliteStatement
        var values = RowValues(handle)
        bind(&values)
        let code = sqlite3_step(handle)
        guard code == SQLITE_DONE || code == SQLITE_ROW else {
            let message = sqlite3_errmsg(sqlite3_db_handle(handle)).map { String(cString: $0) }
            sqlite3_reset(handle)
            throw DatabaseError(resultCode: ResultCode(rawValue: code), message: message)
        }
        sqlite3_reset(handle)
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

    mutating func addNull() {
        count += 1
        sqlite3_bind_null(handle, count)
    }
}
