package import RawJSON

/// What the server knows of a function that it can run.
///
/// It never changes: a new version of a function is another one. Every call carries it along, so that it
/// is handed on by reference.
package final class Function: Sendable {
    /// What carries out a call of the function.
    package enum Runtime: String, Sendable, CaseIterable {
        /// A Swift closure compiled into the server.
        case native
        /// A Python function in a worker process.
        case python
        /// An executable file.
        case command
    }

    package let name: String
    package let runtime: Runtime
    /// Where a job runs that does not choose.
    package let pool: PoolKind
    /// Where a job may choose to run.
    package let pools: [PoolKind]
    /// For people; empty when there is none.
    package let documentation: String
    /// JSON Schema of the arguments as an object by name, with `x-positional` for their order.
    package let parameters: RawJSON
    /// Seconds for one attempt of a job that gives none itself; nil for no limit.
    package let timeout: Double?
    /// Of a job that gives none itself.
    package let retry: RetryPolicy?
    /// Of a job that gives none itself.
    package let limits: CallLimits
    /// Slots of the pool that a call takes, of a job that does not say; nil for one.
    package let cpus: Int?
    package let queue: String?
    package let tags: [String]
    /// Whether its jobs are `unique` and take results of others for so many seconds, if they do not
    /// say.
    package let isUnique: Bool
    package let cache: Double?
    /// The file that it comes from, if any.
    package let source: String?
    /// Changes when the function may give other results; nil when that cannot be told.
    package let version: String?

    package init(
        name: String, runtime: Runtime, pool: PoolKind, pools: [PoolKind],
        documentation: String = "", parameters: RawJSON = .emptyObject, timeout: Double? = nil,
        retry: RetryPolicy? = nil, limits: CallLimits = CallLimits(), cpus: Int? = nil,
        queue: String? = nil, tags: [String] = [], isUnique: Bool = false, cache: Double? = nil,
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
        self.limits = limits
        self.cpus = cpus
        self.queue = queue
        self.tags = tags
        self.isUnique = isUnique
        self.cache = cache
        self.source = source
        self.version = version
    }
}
