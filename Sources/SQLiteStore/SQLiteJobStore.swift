import CSQLite
import GRDB
package import Jobs
package import Logging
import RawJSON
import Synchronization
import Threads

/// Jobs in one SQLite file, in write-ahead mode with `synchronous=FULL`.
///
/// Changes go through `StoreWriter`; reads run on threads of their own, each on a snapshot, and
/// never wait for the writer.
package final class SQLiteJobStore: JobStore {
    /// Settings of the store, with units and defaults.
    package struct Settings: Sendable {
        /// Threads that read.
        package var readers = 2
        /// Seconds from a submission for which its `Idempotency-Key` brings the same job again.
        package var keySeconds = JobStoreDefaults.keySeconds
        /// Bytes that the store may hold; nil for as many as the disk has.
        package var maxBytes: Int64?
        /// Bytes of a submission or a result up to which it is in the database; a larger one is a
        /// file beside it.
        package var inlineBytes = 1 << 20

        package init() {}
    }

    let settings: Settings
    let logger: Logger
    let writer: StoreWriter
    let payloads: PayloadFolder
    /// Of the database file.
    let path: String
    private let pool: DatabasePool
    private let lock: StoreLock
    let readers: ThreadExecutor
    /// How far the results of expired jobs are known to be dropped.
    let droppedResults = Mutex(Timestamp(microseconds: 0))
    /// Up to which job the ended ones have lost their results to make room.
    let thinnedUpTo = Mutex(Int64.min)
    /// Damaged jobs that the log has named.
    private let damaged = Mutex<Set<Int64>>([])

    /// Opens the store of a data folder, which is made if it is not there.
    ///
    /// - Throws: `locked` when another server uses the folder, `failed` when the file is damaged
    ///   or of a later version; nothing is deleted.
    package init(
        directory: String, settings: Settings = Settings(),
        logger: Logger = Logger(label: "martlet.store") { _ in SwiftLogNoOpLogHandler() },
    ) throws(StoreError) {
        self.settings = settings
        self.logger = logger
        lock = try StoreLock(directory: directory)
        let path = StoreFile.path(in: directory)
        self.path = path
        do {
            let pool = try Self.open(path, settings)
            self.pool = pool
            let payloads = try PayloadFolder(PayloadFiles(in: directory))
            self.payloads = payloads
            let orphans = try payloads.begin(with: pool.read(PayloadStatements.files))
            if orphans > 0 {
                logger.notice(
                    "files that belong to no job were removed", metadata: ["files": "\(orphans)"])
            }
            writer = try pool.writeWithoutTransaction { database in
                StoreWriter(
                    pool: pool,
                    statements: try JobStatements(database, maxBytes: settings.maxBytes),
                    log: try LogKeeper(path: path, writer: database, logger: logger),
                    payloads: payloads)
            }
        } catch let error as StoreError {
            lock.release()
            throw error
        } catch {
            lock.release()
            throw .failed("cannot use \(path): \(error)")
        }
        readers = ThreadExecutor(name: "store-reader", threads: settings.readers)
    }

    private static func open(_ path: String, _ settings: Settings) throws -> DatabasePool {
        var configuration = Configuration()
        configuration.maximumReaderCount = settings.readers
        configuration.busyMode = .timeout(5)
        configuration.prepareDatabase { database in
            try database.execute(sql: "PRAGMA cache_size = -8000")
        }
        _ = forgoesMemoryStatistics
        let pool = try DatabasePool(path: path, configuration: configuration)
        guard try pool.read({ try !Schema.migrator.hasBeenSuperseded($0) }) else {
            throw StoreError.failed("\(path) was written by a later version of Martlet.")
        }
        // Only here: GRDB has set NORMAL when it turned write-ahead mode on, after
        // `prepareDatabase`. The first pool connection is the only one that writes.
        let level = try pool.writeWithoutTransaction { database in
            try database.execute(
                sql: """
                    PRAGMA synchronous = FULL;
                    PRAGMA journal_size_limit = \(64 << 20)
                    """)
            return try Int.fetchOne(database, sql: "PRAGMA synchronous")
        }
        guard level == 2 else {
            throw StoreError.failed(
                "\(path): SQLite does not sync at every commit (\(level ?? -1))")
        }
        // Without a bound: a migration may hold a table twice for as long as it lasts.
        try Schema.migrator.migrate(pool)
        return pool
    }

    /// Once in a process, before its first connection.
    ///
    /// Where one was open already, as in tests, SQLite refuses: that costs time and nothing else.
    private static let forgoesMemoryStatistics = csqlite_forgo_memory_statistics() == 0

    /// Transactions committed so far.
    package var commitCount: Int { writer.commitCount }

    /// Commits what was given before, and lets the data folder go.
    ///
    /// Call it when nothing uses the store any more. It blocks for as long as that takes.
    package func close() {
        readers.finish()
        do {
            try writer.stop()
            // The readers are closed last, and cannot do it.
            try pool.writeWithoutTransaction { _ = try $0.checkpoint(.truncate) }
            try pool.close()
        } catch {
            // The file is whole without it: the log is replayed at the next start.
            logger.warning("cannot close the store", metadata: ["error": "\(error)"])
        }
        payloads.finish()
        lock.release()
    }

    /// Makes a change some time soon, without waiting for it.
    func change(
        _ body: @escaping @Sendable (Database) throws -> Void,
        done: @escaping @Sendable (StoreError?) -> Void,
    ) {
        writer.submit(LooseChange(body: { database, _ in try body(database) }, done: done))
    }

    func read<Value: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Value,
    ) async throws(StoreError) -> Value {
        let result: Result<Value, StoreError> = await withUnsafeContinuation { continuation in
            readers.execute {
                do {
                    continuation.resume(returning: .success(try self.pool.read(body)))
                } catch {
                    continuation.resume(returning: .failure(StoreError(error)))
                }
            }
        }
        return try result.get()
    }

    /// Says in the log, once, that a job cannot be read.
    func report(damaged id: Int64, _ error: any Error) {
        let isNew = damaged.withLock { $0.count < 10_000 && $0.insert(id).inserted }
        if isNew { logger.error("a job cannot be read", metadata: ["error": "\(error)"]) }
    }
}
