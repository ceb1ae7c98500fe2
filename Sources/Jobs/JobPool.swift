package import RawJSON

/// Something that runs calls of functions: a thread, process or async pool.
///
/// It lives on the event loop of the engine that uses it, which calls it there and nowhere else.
package protocol JobPool: Sendable {
    var kind: PoolKind { get }

    /// Takes a place for a call that will be given to `run`.
    ///
    /// A pool takes a few calls more than it can run at once, so that no worker idles between two
    /// short ones.
    ///
    /// - Parameters:
    ///   - function: of the call.
    ///   - cpus: slots that it takes; all that the pool has if it has fewer.
    /// - Returns: whether there was a place.
    func reserve(for function: Function, cpus: Int) -> Bool

    /// Gives back a place for which there will be no call.
    func giveBack(for function: Function, cpus: Int)

    /// Has `body` called, on the loop, when there may be room though no call has ended: a call that
    /// waits for another job lends its slots.
    func whenRoom(_ body: @escaping @Sendable () -> Void) async

    /// Runs a call to its end; it is over when nothing of it runs any more.
    ///
    /// When the task that waits is cancelled, the call is stopped and fails with `cancelled`.
    func run(_ call: Call) async -> CallOutcome

    func status() async -> PoolStatus

    /// Kills everything and waits for its end; calls still running fail with `lost`.
    func stop() async
}

/// One call of a function, or of a chunk of a map's items.
package struct Call: Sendable {
    package enum Payload: Sendable {
        /// An array of positional or an object of named arguments.
        case arguments(RawJSON)
        /// Items of a map with commas between, as the client sent them.
        case items(ArraySlice<UInt8>, count: Int, spread: Bool, onError: OnError)
    }

    package let function: Function
    package let payload: Payload
    /// Seconds; nil for no limit.
    package let timeout: Double?
    /// Slots that it takes.
    package var cpus = 1
    package var limits = CallLimits()
    /// nil when nobody wants to hear what it says.
    package var source: CallSource?

    package init(function: Function, payload: Payload, timeout: Double? = nil) {
        self.function = function
        self.payload = payload
        self.timeout = timeout
    }
}

/// How a call ended.
package struct CallOutcome: Sendable {
    package enum Value: Sendable {
        case result(RawJSON)
        /// Of a chunk: its leading items' results with commas between, and the failed items, whose
        /// `index` counts from the chunk's start. With `OnError.stop` the chunk ends at the first.
        case items(results: ArraySlice<UInt8>, count: Int, failures: [Failure])
        case failure(Failure)
    }

    package let value: Value
    /// Wall time that the function itself took, as its runtime measured it.
    package let seconds: Double

    package init(_ value: Value, seconds: Double = 0) {
        self.value = value
        self.seconds = seconds
    }
}

/// A pool's size and load.
package struct PoolStatus: Sendable, Equatable {
    package var kind: PoolKind
    /// Calls that may run at once.
    package var slots: Int
    /// Slots of the calls that run or wait in a worker, without those that are lent.
    package var running: Int
    /// Worker processes or threads alive.
    package var workers: Int

    package init(kind: PoolKind, slots: Int, running: Int, workers: Int) {
        self.kind = kind
        self.slots = slots
        self.running = running
        self.workers = workers
    }
}
