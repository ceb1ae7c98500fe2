package import RawJSON

/// One submission and what has become of it.
///
/// It is handed from step to step, so that what hardly changes any more, and what most jobs do not
/// have, lies behind one reference each: a copy then counts four references instead of twenty.
package struct Job: Sendable {
    package let id: JobID
    private var request: JobRequest
    private var latestFailure: FailureBox?
    /// Whether a job submitted it that may wait for it; not kept in the store.
    package var isNested = false
    /// Whether more items of the map are to come; a store keeps it of a new job.
    package var isUploading = false
    /// Where it runs: the submission's choice, else the function's default.
    package let pool: PoolKind
    package var state: JobState
    /// Attempts begun so far.
    package var attempt: Int
    package let createdAt: Timestamp
    /// Not to be started before; nil for at once.
    package var notBefore: Timestamp?
    /// When the latest attempt began.
    package var startedAt: Timestamp?
    package var endedAt: Timestamp?
    /// When its result is dropped; known once it has ended.
    package var expiresAt: Timestamp?
    /// Items of a map that have ended, failed ones included; 0 for a call.
    package var itemsDone: Int
    /// Items of a map that have failed.
    package var itemsFailed: Int
    /// Items of a map that a pool has now; not kept in the store.
    package var itemsRunning = 0
    /// What the function of a call says of its progress; not kept in the store.
    package var progress: JobProgress?
    /// Of a call that succeeded, as the function returned it; a map's results are item segments.
    package var result: RawJSON?
    /// Of a result that was larger than what was to be read with the job, see `JobStore.result`.
    package var unreadResultBytes: Int?
    /// Whether any part of an unread result is read at once, without what lies before it.
    package var isResultInFile = false
    /// The attempts that have failed, the latest twenty at most.
    package var failedAttempts: [FailedAttempt] = []
}

extension Job {
    package init(
        id: JobID, submission: JobSubmission, pool: PoolKind, state: JobState = .queued,
        attempt: Int = 0, createdAt: Timestamp, notBefore: Timestamp? = nil,
        startedAt: Timestamp? = nil, endedAt: Timestamp? = nil, expiresAt: Timestamp? = nil,
        itemsDone: Int = 0, itemsFailed: Int = 0, result: RawJSON? = nil,
        failure: Failure? = nil, idempotencyKey: String? = nil, traceparent: String? = nil,
        keys: CallKeys = CallKeys(), pieces: [ItemPiece] = [],
    ) {
        // All at once: put together member by member, so large a value is copied when it is whole.
        self.init(
            id: id,
            request: JobRequest(
                submission: submission, idempotencyKey: idempotencyKey, traceparent: traceparent,
                keys: keys, pieces: pieces),
            latestFailure: failure.map(FailureBox.init), pool: pool, state: state,
            attempt: attempt, createdAt: createdAt, notBefore: notBefore, startedAt: startedAt,
            endedAt: endedAt, expiresAt: expiresAt, itemsDone: itemsDone,
            itemsFailed: itemsFailed, result: result)
    }
}

// MARK: What lies behind references

extension Job {
    /// A copy of all that it holds: who wants one or two of its members asks the job for them.
    package var submission: JobSubmission {
        get { request.submission }
        set {
            ownRequest()
            request.submission = newValue
        }
    }

    package var functionName: String { request.submission.function }

    /// Of a job that was prepared its own.
    package var queue: String { request.submission.queue ?? "default" }

    package var priority: Int { request.submission.priority }

    /// Slots of its pool that a call takes.
    package var cpus: Int { request.submission.cpus ?? 1 }

    package var tags: [String] { request.submission.tags }

    /// Of a map; nil of a call.
    package var itemCount: Int? { request.submission.work.itemCount }

    package var isMap: Bool { request.submission.work.isMap }

    /// Of the submission as it was sent.
    package var submissionBytes: Int { request.submission.document.bytes.count }

    /// Of a new large map: its items, which a store keeps beside it; nobody else holds on to them.
    package var pieces: [ItemPiece] {
        get { request.pieces }
        set {
            ownRequest()
            request.pieces = newValue
        }
    }

    /// The client's `Idempotency-Key`.
    package var idempotencyKey: String? { request.idempotencyKey }

    /// The trace that it belongs to, as its client sent it (W3C Trace Context).
    package var traceparent: String? {
        get { request.traceparent }
        set {
            ownRequest()
            request.traceparent = newValue
        }
    }

    /// What it is compared by when it is stored; not read back.
    package var keys: CallKeys {
        get { request.keys }
        set {
            ownRequest()
            request.keys = newValue
        }
    }

    /// Of the latest attempt that failed.
    package var failure: Failure? {
        get { latestFailure?.failure }
        set { latestFailure = newValue.map(FailureBox.init) }
    }

    /// Whether there is one: a failure is large, and most jobs have none.
    package var hasFailure: Bool { latestFailure != nil }

    private mutating func ownRequest() {
        if !isKnownUniquelyReferenced(&request) { request = JobRequest(copying: request) }
    }
}

/// What a client has asked of a job and sent along.
private final class JobRequest: @unchecked Sendable {
    // Unchecked: changed by a job alone that holds the only reference to it.
    var submission: JobSubmission
    var pieces: [ItemPiece]
    let idempotencyKey: String?
    var traceparent: String?
    var keys: CallKeys

    init(
        submission: JobSubmission, idempotencyKey: String?, traceparent: String?, keys: CallKeys,
        pieces: [ItemPiece],
    ) {
        self.submission = submission
        self.idempotencyKey = idempotencyKey
        self.traceparent = traceparent
        self.keys = keys
        self.pieces = pieces
    }

    init(copying other: JobRequest) {
        submission = other.submission
        pieces = other.pieces
        idempotencyKey = other.idempotencyKey
        traceparent = other.traceparent
        keys = other.keys
    }
}

private final class FailureBox: Sendable {
    let failure: Failure

    init(_ failure: Failure) { self.failure = failure }
}

extension Job {
    /// The job, which has ended, as it waits to be run again.
    package func queuedAgain(keepingItems: Bool) -> Job {
        var job = self
        job.state = .queued
        job.result = nil
        job.unreadResultBytes = nil
        job.isResultInFile = false
        job.failure = nil
        if !keepingItems { job.itemsDone = 0 }
        job.itemsFailed = 0
        job.endedAt = nil
        job.expiresAt = nil
        job.notBefore = nil
        return job
    }

    /// The job as it is held for those who wait for it, without the much that may have been sent along.
    package var withoutLargeSubmission: Job {
        guard submissionBytes > 64 << 10 else { return self }
        var job = self
        var submission = job.submission
        submission.document = .emptyObject
        switch submission.work {
        case .call: submission.work = .call(arguments: .emptyArray)
        case .map(_, let count, let spread):
            submission.work = .map(items: .emptyArray, count: count, spread: spread)
        }
        job.submission = submission
        return job
    }

    /// The job as it is held in memory when its items are stored.
    package var withoutPieces: Job {
        guard !pieces.isEmpty else { return self }
        var job = self
        job.pieces = []
        return job
    }
}

/// An attempt that failed, for the record.
package struct FailedAttempt: Sendable, Equatable {
    package var number: Int
    package var startedAt: Timestamp
    package var endedAt: Timestamp
    package var failure: Failure

    /// How many a job keeps; more are forgotten from the front.
    package static let most = 20

    package init(number: Int, startedAt: Timestamp, endedAt: Timestamp, failure: Failure) {
        self.number = number
        self.startedAt = startedAt
        self.endedAt = endedAt
        self.failure = failure
    }

    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.member("attempt", number)
        writer.member("started_at", startedAt)
        writer.member("ended_at", endedAt)
        writer.key("error")
        failure.write(to: &writer)
        writer.endObject()
    }

    /// Reads what `write(to:)` has written; nil when a needed member is missing.
    package init?(json: RawJSON) {
        guard let number = json.member("attempt")?.int,
            let startedAt = json.member("started_at")?.string.flatMap(Timestamp.init),
            let endedAt = json.member("ended_at")?.string.flatMap(Timestamp.init),
            let failure = json.member("error").flatMap(Failure.init(json:))
        else { return nil }
        self.init(number: number, startedAt: startedAt, endedAt: endedAt, failure: failure)
    }
}

/// Results of consecutive items of a map job.
package struct ItemSegment: Sendable, Equatable {
    /// Index of the first item.
    package var first: Int
    package var count: Int
    /// The items' results as JSON values with commas between; a failed item is `null`.
    package var results: [UInt8]
    /// The failed items' failures, by index in the job.
    package var failures: [Failure]

    package init(first: Int, count: Int, results: [UInt8], failures: [Failure] = []) {
        self.first = first
        self.count = count
        self.results = results
        self.failures = failures
    }

    /// Index behind the last item.
    package var end: Int { first + count }

    /// What is left of the segment without its failed items.
    package func withoutFailed() -> [ItemSegment] {
        let failed = Set(failures.compactMap(\.index))
        let list = RawJSON(trusted: ([UInt8(ascii: "[")] + results + [UInt8(ascii: "]")])[...])
        var kept: [ItemSegment] = []
        for (offset, result) in list.elements().enumerated()
        where !failed.contains(first + offset) {
            let single = ItemSegment(first: first + offset, count: 1, results: Array(result.bytes))
            if kept.last?.end == single.first {
                kept[kept.count - 1].append(single)
            } else {
                kept.append(single)
            }
        }
        return kept
    }

    /// Adds the segment of the items that follow.
    package mutating func append(_ next: ItemSegment) {
        count += next.count
        results.append(UInt8(ascii: ","))
        results += next.results
        failures += next.failures
    }
}

/// Where a reading of a map's items goes on.
package enum ItemCursor: Sendable, Equatable {
    /// In the order of the items, from the segment that holds this one.
    case index(Int)
    /// In the order in which the segments were written, after that one.
    case written(after: Int64)
}

/// Some segments of a map and where the next ones begin.
package struct ItemPage: Sendable, Equatable {
    package var segments: [ItemSegment]
    package var next: ItemCursor

    package var isEmpty: Bool { segments.isEmpty }

    /// Drops what follows a gap, where the page is in the order of the items.
    package mutating func cutAtGap(from start: ItemCursor) {
        guard case .index(var reached) = start else { return }
        for (place, segment) in segments.enumerated() {
            if segment.first > reached {
                segments.removeSubrange(place...)
                next = .index(reached)
                return
            }
            reached = segment.end
        }
    }

    package init(segments: [ItemSegment], next: ItemCursor) {
        self.segments = segments
        self.next = next
    }
}
