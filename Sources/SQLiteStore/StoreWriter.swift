import GRDB
import Jobs
import Synchronization
import Threads

/// The one thread that changes the database: whatever waits is committed as one transaction.
///
/// A commit costs one fsync whatever it holds, so that the more callers wait, the cheaper each
/// change becomes. The list of what waits is bounded by its callers, who wait for it.
final class StoreWriter: @unchecked Sendable {
    // Unchecked: `statements` is used on `thread` alone, and after its end by `stop`.
    private let pool: DatabasePool
    /// nil when the writer has stopped: a connection with statements cannot be closed.
    private var statements: JobStatements?
    private let log: LogKeeper
    private let payloads: PayloadFolder
    private let thread = ThreadExecutor(name: "store-writer", threads: 1)
    private let waiting = Mutex<[any StoreChange]>([])
    private let commits = Atomic<Int>(0)
    private let counts = Mutex(StoreStatistics())
    /// Files that rows may name after a crash: the log holds a commit of them that has failed, until
    /// the next commit takes its place.
    private let doubtful = Mutex<[PayloadFile]>([])

    init(
        pool: DatabasePool, statements: JobStatements, log: LogKeeper, payloads: PayloadFolder,
    ) {
        self.pool = pool
        self.payloads = payloads
        self.statements = statements
        self.log = log
    }

    /// Transactions so far.
    var commitCount: Int { commits.load(ordering: .relaxed) }

    var statistics: StoreStatistics { counts.withLock { $0 } }

    /// Makes a change and returns what it gives, once that is durable and `durable` has been told.
    func perform<Value: Sendable>(
        files: some Collection<PayloadFile> = [],
        durable: @escaping @Sendable (Value) -> Void = { _ in },
        _ body: @escaping @Sendable (Database, JobStatements) throws -> Value,
    ) async throws(StoreError) -> Value {
        let result: Result<Value, StoreError> = await withUnsafeContinuation { continuation in
            submit(
                AwaitedChange(
                    files: Array(files), body: body, durable: durable, continuation: continuation))
        }
        return try result.get()
    }

    /// Makes a change some time soon, without waiting for it.
    func submit(_ change: any StoreChange) {
        let isFirst = waiting.withLock { waiting in
            waiting.append(change)
            return waiting.count == 1
        }
        if isFirst { thread.execute { self.commitWaiting() } }
    }

    /// Ends the thread once all that was submitted is committed; waits for it.
    func stop() throws {
        thread.finish()
        statements = nil
        try log.stop()
    }

    private func commitWaiting() {
        let changes = waiting.withLock { waiting in
            defer { waiting = [] }
            return waiting
        }
        guard !changes.isEmpty else { return }
        guard let groupError = commit(changes) else {
            for change in changes { change.done(nil) }
            return tendLog()
        }
        // One change may have undone all: each for itself, so that it hurts nobody else; but when
        // the disk is the reason, all that follow would only wait for its answer.
        var failure: StoreError?
        for change in changes {
            let error = failure == nil ? commit([change]) : nil
            if let error, error.isOfDisk { failure = StoreError(error) }
            if let refusal = error.map(StoreError.init) ?? failure {
                let isCertain = !groupError.isUncertain && error?.isUncertain != true
                giveUp(change, refusal, isCertain: isCertain)
            } else {
                change.done(nil)
            }
        }
    }

    private func giveUp(_ change: any StoreChange, _ error: StoreError, isCertain: Bool) {
        if isCertain {
            payloads.remove(change.files)
        } else {
            doubtful.withLock { $0 += change.files }
        }
        change.done(error)
    }

    /// Copies what is left of the log when its keeper is done with the most of it.
    private func tendLog() {
        guard log.isWriterToCopy() else { return }
        do {
            try pool.writeWithoutTransaction { _ = try $0.checkpoint(.passive) }
        } catch {
            // The log goes on growing, and its keeper tries again with a later commit.
        }
    }

    private func commit(_ changes: [any StoreChange]) -> (any Error)? {
        let start = ContinuousClock.now
        let error = transact(changes)
        let (seconds, attoseconds) = (ContinuousClock.now - start).components
        counts.withLock { counts in
            counts.failure = error.map(StoreError.init)
            if error == nil {
                counts.commitSeconds.note(Double(seconds) + Double(attoseconds) * 1e-18)
                counts.commitChanges.note(Double(changes.count))
            } else if changes.count == 1 {
                counts.failedChanges += 1
            }
        }
        return error
    }

    private func transact(_ changes: [any StoreChange]) -> (any Error)? {
        guard let statements else { return StoreError.failed("the store is closed") }
        do {
            try pool.writeWithoutTransaction { database in
                try database.inTransaction(.immediate) {
                    for change in changes { try change.make(in: database, statements) }
                    try statements.finish()
                    return .commit
                }
            }
            commits.add(1, ordering: .relaxed)
            removeUnused(of: changes, statements)
            return nil
        } catch {
            statements.reset()
            return error
        }
    }
}

extension StoreWriter {
    /// Removes what no row names after a commit.
    private func removeUnused(of changes: [any StoreChange], _ statements: JobStatements) {
        let (added, dropped) = statements.payloads.takeChanges()
        let unused = changes.flatMap(\.files).filter { !added.contains($0.name) }
        let overwritten = doubtful.withLock { doubtful in
            defer { doubtful = [] }
            return doubtful
        }
        payloads.remove(dropped + unused + overwritten)
    }
}

extension StoreError {
    init(_ error: any Error) {
        if let error = error as? StoreError {
            self = error
            return
        }
        guard let error = error as? DatabaseError else {
            self = .failed("\(error)")
            return
        }
        switch error.resultCode {
        case .SQLITE_FULL:
            self = .full(
                "The disk that holds the data folder is full, or the store has reached its bound.")
        default: self = .failed("SQLite: \(error.message ?? "error \(error.resultCode.rawValue)")")
        }
    }
}

extension Error {
    /// Whether the commit may be in the log all the same.
    fileprivate var isUncertain: Bool {
        (self as? DatabaseError)?.resultCode == .SQLITE_IOERR
    }

    /// Whether the disk is full or has failed, so that other changes fare no better.
    fileprivate var isOfDisk: Bool {
        switch (self as? DatabaseError)?.resultCode {
        case .SQLITE_FULL, .SQLITE_IOERR: true
        default: false
        }
    }
}
