import Jobs

/// A value for each pool: what a dictionary would hash names for, many times a job.
struct PoolTable<Value> {
    private var thread, process, async: Value

    init(_ value: (PoolKind) -> Value) {
        thread = value(.thread)
        process = value(.process)
        async = value(.async)
    }

    subscript(kind: PoolKind) -> Value {
        get {
            switch kind {
            case .thread: thread
            case .process: process
            case .async: async
            }
        }
        _modify {
            switch kind {
            case .thread: yield &thread
            case .process: yield &process
            case .async: yield &async
            }
        }
    }
}

extension PoolTable: Sendable where Value: Sendable {}
