import Jobs

/// A pool that returns its items as they came.
struct EchoPool: JobPool {
    let kind = PoolKind.thread
    func reserve(for function: Function, cpus: Int) -> Bool { true }
    func giveBack(for function: Function, cpus: Int) {}
    func whenRoom(_ body: @escaping @Sendable () -> Void) async {}
    func run(_ call: Call) async -> CallOutcome {
        switch call.payload {
        case .arguments(let arguments): CallOutcome(.result(arguments))
        case .items(let items, let count, _, _):
            CallOutcome(.items(results: items, count: count, failures: []))
        }
    }
    func status() async -> PoolStatus { PoolStatus(kind: kind, slots: 2, running: 0, workers: 0) }
    func stop() async {}
}
