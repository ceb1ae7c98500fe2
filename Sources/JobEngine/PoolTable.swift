import Jobs

/// A value for each pool: what a dictionary would hash names for, many times a job.
struct PoolTable<Value> {
    private var values: [Value]

    init(_ value: (PoolKind) -> Value) { values = PoolKind.allCases.map(value) }

    subscript(kind: PoolKind) -> Value {
        get { values[Self.place(of: kind)] }
        _modify { yield &values[Self.place(of: kind)] }
    }

    private static func place(of kind: PoolKind) -> Int {
        switch kind {
        case .thread: 0
        case .process: 1
        case .async: 2
        }
    }
}
