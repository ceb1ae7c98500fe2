package import RawJSON

/// What a client asks to be run.
package struct JobSubmission: Sendable {
    package var function: String
    package var work: JobWork
    /// nil for the function's default.
    package var pool: PoolKind?
    /// At most so many of a map's items at once; nil or -1 for as many as the pool has slots, -2
    /// for one less, and so on.
    package var concurrency: Int?
    package var chunk = ChunkSize.auto
    /// Slots of the pool that a call takes; nil for the function's default.
    package var cpus: Int?
    package var onError = OnError.stop
    /// nil for the function's queue, else `default`.
    package var queue: String?
    /// -1000 to 1000, the higher first.
    package var priority = 0
    /// Not to be started before.
    package var notBefore: Timestamp?
    /// Seconds to wait after the submission; not together with `notBefore`.
    package var delay: Double?
    /// Seconds for an attempt, of a map for one item; nil for the function's default.
    package var timeout: Double?
    /// nil for the function's default.
    package var retry: RetryPolicy?
    /// Where nil, the function's.
    package var limits = CallLimits()
    /// Seconds that the result stays after the end; nil for the server's default.
    package var keep: Double?
    package var tags: [String] = []
    /// Whether a `unique` job that calls the same and has not ended is answered in its place; nil
    /// for the function's default.
    package var isUnique: Bool?
    /// A result of the same call not older than so many seconds is answered in its place; nil for
    /// the function's default.
    ///
    /// Only results of jobs that said `cache`, too, are looked at.
    package var cache: Double?
    /// Whether its items come after it, so that it cannot be compared with others.
    package var itemsFollow = false
    /// The submission as it was sent, without surrounding white space.
    package var document: RawJSON
}

extension JobSubmission {
    /// What a list shows of a submission; the document is not there.
    package init(function: String, work: JobWork, priority: Int) {
        self.init(
            function: function, work: work, priority: priority, document: .emptyObject)
    }
}

/// A single call or a map.
package enum JobWork: Sendable {
    /// An array of positional or an object of named arguments.
    case call(arguments: RawJSON)
    /// One call an item of the array; with `spread` an item is itself an array or object of
    /// arguments. The array is empty where the store keeps the items in pieces (`ItemPiece`).
    case map(items: RawJSON, count: Int, spread: Bool)

    package var isMap: Bool {
        switch self {
        case .call: false
        case .map: true
        }
    }

    /// Of a map; nil of a call.
    package var itemCount: Int? {
        switch self {
        case .call: nil
        case .map(_, let count, _): count
        }
    }
}

/// How many of a map's items are handed to a worker at once.
package enum ChunkSize: Sendable, Equatable {
    /// Steered by the time that items take.
    case auto
    case items(Int)
}

/// What a failed item means for its map.
package enum OnError: String, Sendable, CaseIterable {
    /// The map fails; items not begun are not run.
    case stop
    /// The others run on; the map succeeds with the failed items named beside the results.
    case `continue`
}
