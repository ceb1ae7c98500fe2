import GRDB
import Jobs

/// One caller's change of the database, made and ended on the writer's thread.
protocol StoreChange: AnyObject, Sendable {
    /// Files that its rows are to name; those that none does go.
    var files: [PayloadFile] { get }

    /// Runs inside the transaction; again, where a change beside it has undone that.
    func make(in database: Database, _ statements: JobStatements) throws

    /// Told after the commit, or of the error that undid it.
    func done(_ error: StoreError?)
}

/// A change whose caller waits for what it gives.
final class AwaitedChange<Value: Sendable>: StoreChange, @unchecked Sendable {
    // Unchecked: `value` is used on the writer's thread alone.
    let files: [PayloadFile]
    private let body: @Sendable (Database, JobStatements) throws -> Value
    private let durable: @Sendable (Value) -> Void
    private let continuation: UnsafeContinuation<Result<Value, StoreError>, Never>
    private var value: Value?

    init(
        files: [PayloadFile], body: @escaping @Sendable (Database, JobStatements) throws -> Value,
        durable: @escaping @Sendable (Value) -> Void,
        continuation: UnsafeContinuation<Result<Value, StoreError>, Never>,
    ) {
        self.files = files
        self.body = body
        self.durable = durable
        self.continuation = continuation
    }

    func make(in database: Database, _ statements: JobStatements) throws {
        value = try body(database, statements)
    }

    func done(_ error: StoreError?) {
        if let error {
            continuation.resume(returning: .failure(error))
        } else if let value {
            durable(value)
            continuation.resume(returning: .success(value))
        } else {
            continuation.resume(returning: .failure(.failed("nothing was written")))
        }
    }
}

/// A change that nobody waits for.
final class LooseChange: StoreChange {
    let files: [PayloadFile] = []
    private let body: @Sendable (Database, JobStatements) throws -> Void
    private let whenDone: @Sendable (StoreError?) -> Void

    init(
        body: @escaping @Sendable (Database, JobStatements) throws -> Void,
        done: @escaping @Sendable (StoreError?) -> Void,
    ) {
        self.body = body
        whenDone = done
    }

    func make(in database: Database, _ statements: JobStatements) throws {
        try body(database, statements)
    }

    func done(_ error: StoreError?) { whenDone(error) }
}
