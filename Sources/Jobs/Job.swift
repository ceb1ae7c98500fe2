package import RawJSON

/// One submission and what has become of it.
package struct Job: Sendable {
    package let id: JobID
    package let submission: JobSubmission
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
    /// Of a call that succeeded, as the function returned it; a map's results are item segments.
    package var result: RawJSON?
    /// Of the latest attempt that failed.
    package var failure: Failure?
    /// The client's `Idempotency-Key`.
    package let idempotencyKey: String?

    package init(
        id: JobID, submission: JobSubmission, pool: PoolKind, state: JobState = .queued,
        attempt: Int = 0, createdAt: Timestamp, notBefore: Timestamp? = nil,
        startedAt: Timestamp? = nil, endedAt: Timestamp? = nil, expiresAt: Timestamp? = nil,
        itemsDone: Int = 0, itemsFailed: Int = 0, result: RawJSON? = nil,
        failure: Failure? = nil, idempotencyKey: String? = nil,
    ) {
        self.id = id
        self.submission = submission
        self.pool = pool
        self.state = state
        self.attempt = attempt
        self.createdAt = createdAt
        self.notBefore = notBefore
        self.startedAt = startedAt
        self.endedAt = endedAt
        self.expiresAt = expiresAt
        self.itemsDone = itemsDone
        self.itemsFailed = itemsFailed
        self.result = result
        self.failure = failure
        self.idempotencyKey = idempotencyKey
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
}
