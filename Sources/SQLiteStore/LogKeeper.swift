import GRDB
import GRDBSQLite
import Logging
import Synchronization
import Threads

/// Writes the write-ahead log back into the file, beside the writer instead of within a commit.
///
///     writer ── commits ──► log ── over `startPages` ──► this thread copies nearly all of it,
///       ▲                                                commits go on meanwhile
///       └── little is left: the writer itself copies that between two commits, and the log
///           begins anew with the next one
///
/// Only the writer can do the last part: while it commits, there is always something more to copy.
/// Readers of old snapshots put the new beginning off; then the log grows until the next round.
final class LogKeeper: @unchecked Sendable {
    // Unchecked: the connection is used on `thread` alone.
    private let connection: DatabaseQueue
    private let thread = ThreadExecutor(name: "store-log", threads: 1)
    private let logger: Logger
    private let state = Mutex(State.waiting)
    /// Pages in the log.
    private let pages = LogPages()

    private enum State {
        case waiting
        /// The thread copies.
        case copying
        /// It has copied nearly all; the writer is to copy the rest.
        case nearlyDone
    }

    /// Pages of 4 KiB in the log at which copying begins: 8 MiB.
    private static let startPages = 2048
    /// Pages that the writer copies by itself.
    private static let restPages = 256
    /// How often a round may start over, because the writer was quicker.
    private static let rounds = 4

    /// Begins to watch the log of `path`, which `writer` is the writing connection of.
    init(path: String, writer: Database, logger: Logger) throws {
        var configuration = Configuration()
        configuration.busyMode = .timeout(5)
        connection = try DatabaseQueue(path: path, configuration: configuration)
        self.logger = logger
        try connection.inDatabase { try $0.execute(sql: "PRAGMA synchronous = FULL") }
        pages.watch(writer)
    }

    /// Called by the writer between two transactions.
    ///
    /// - Returns: whether it is to copy what is left of the log.
    func isWriterToCopy() -> Bool {
        let count = pages.count
        return state.withLock { state in
            switch state {
            case .waiting:
                guard count >= Self.startPages else { return false }
                state = .copying
                thread.execute { self.copy() }
                return false
            case .copying:
                return false
            case .nearlyDone:
                state = .waiting
                return true
            }
        }
    }

    private func copy() {
        for _ in 0..<Self.rounds {
            do {
                let copied = try connection.inDatabase { try $0.checkpoint(.passive) }
                if pages.count - copied.checkpointedFrameCount < Self.restPages { break }
            } catch {
                // The next round comes with the next commit.
                logger.warning("cannot copy the log", metadata: ["error": "\(error)"])
            }
        }
        state.withLock { $0 = .nearlyDone }
    }

    /// Ends the thread; the writer must not commit any more.
    func stop() throws {
        thread.finish()
        try connection.close()
    }
}

/// How many pages the log holds, as SQLite tells the writer after each commit.
private final class LogPages: Sendable {
    private let atomic = Atomic<Int>(0)

    var count: Int { atomic.load(ordering: .relaxed) }

    /// Takes the place of SQLite's own copying, which is such a hook, too.
    func watch(_ writer: Database) {
        sqlite3_wal_hook(
            writer.sqliteConnection,
            { context, _, _, pages in
                guard let context else { return SQLITE_OK }
                let log = Unmanaged<LogPages>.fromOpaque(context).takeUnretainedValue()
                log.atomic.store(Int(pages), ordering: .relaxed)
                return SQLITE_OK
            }, Unmanaged.passUnretained(self).toOpaque())  // whoever commits holds its keeper
    }
}
