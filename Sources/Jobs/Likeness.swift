/// Why a submission is answered with a job that is there already.
package enum Likeness: String, Sendable, Equatable {
    /// The job was submitted with the same `Idempotency-Key`.
    case idempotencyKey = "idempotency-key"
    /// Both are `unique`, call the same with the same, and the job waits or runs.
    case unique
    /// The job has succeeded with the same call of late, and its result is good enough.
    case cache
}

/// What a job is compared by with those that may answer its submission in its place.
package struct CallKeys: Sendable, Equatable {
    /// Of function and arguments, when the submission says `unique`.
    package var unique: [UInt8]?
    /// Of function, its version and arguments, when the submission says `cache`.
    package var cache: [UInt8]?

    package init(unique: [UInt8]? = nil, cache: [UInt8]? = nil) {
        self.unique = unique
        self.cache = cache
    }
}

/// The `Idempotency-Key` of a whole batch.
package struct BatchKey: Sendable, Equatable {
    package let key: String
    /// Of the batch's body: another one with the same key is refused.
    package let fingerprint: [UInt8]

    package init(key: String, fingerprint: [UInt8]) {
        self.key = key
        self.fingerprint = fingerprint
    }
}
