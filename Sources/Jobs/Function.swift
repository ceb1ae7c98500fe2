package import RawJSON

/// What the server knows of a function that it can run.
package struct Function: Sendable, Equatable {
    /// What carries out a call of the function.
    package enum Runtime: String, Sendable, CaseIterable {
        /// A Swift closure compiled into the server.
        case native
        /// A Python function in a worker process.
        case python
        /// An executable file.
        case command
    }

    package var name: String
    package var runtime: Runtime
    /// Where a job runs that does not choose.
    package var pool: PoolKind
    /// Where a job may choose to run.
    package var pools: [PoolKind]
    /// For people; empty when there is none.
    package var documentation: String
    /// JSON Schema of the arguments as an object by name, with `x-positional` for their order.
    package var parameters: RawJSON
    /// Seconds for one attempt of a job that gives none itself; nil for no limit.
    package var timeout: Double?
    /// Of a job that gives none itself.
    package var retry: RetryPolicy?
    /// Of a job that gives none itself.
    package var limits = CallLimits()
    /// Slots of the pool that a call takes, of a job that does not say; nil for one.
    package var cpus: Int?
    package var queue: String?
    package var tags: [String]
    /// Whether its jobs are `unique` and take results of others for so many seconds, if they do not
    /// say.
    package var isUnique = false
    package var cache: Double?
    /// The file that it comes from, if any.
    package var source: String?
    /// Changes when the function may give other results; nil when that cannot be told.
    package var version: String?

    package init(
        name: String, runtime: Runtime, pool: PoolKind, pools: [PoolKind],
        documentation: String = "", parameters: RawJSON = .emptyObject, timeout: Double? = nil,
        retry: RetryPolicy? = nil, queue: String? = nil, tags: [String] = [],
        source: String? = nil, version: String? = nil,
    ) {
        self.name = name
        self.runtime = runtime
        self.pool = pool
        self.pools = pools
        self.documentation = documentation
        self.parameters = parameters
        self.timeout = timeout
        self.retry = retry
        self.queue = queue
        self.tags = tags
        self.source = source
        self.version = version
    }
}
