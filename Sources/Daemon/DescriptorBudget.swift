import CLinux
import Logging
import WebClient

/// How many descriptors the process may have, and what of them is left for connections.
struct DescriptorBudget {
    /// That may be open at once.
    let limit: Int
    /// Kept for what must go on when all connections are taken.
    let reserve: Int

    var connections: Int { limit - reserve }

    /// Raises the process's limit as far as it goes.
    ///
    /// To be made once, before any other process is started.
    init(_ configuration: Configuration) {
        let limit = Int(clinux_raise_open_files())
        self.limit = limit
        // Where there are few, connections get half.
        reserve = min(Self.needs(configuration) + limit / 8, limit / 2)
    }

    /// Descriptors of all but connections and of the files that these have open.
    ///
    /// The latter, large submissions, results and blobs on their way, are another eighth.
    private static func needs(_ configuration: Configuration) -> Int {
        // The store with its readers, logs, the loops with their listeners, what the start reads.
        let own = 64 + configuration.loops * (2 + configuration.listen.count)
        // A worker has a channel, two pipes and a pidfd; Python's and native ones fill the process
        // pool each, and new ones begin while old ones finish. A command has three pipes and a pidfd.
        let workers = 4 * 2 * (2 * configuration.processes + 2) + 4 * configuration.processes
        return own + workers + configuration.fetch.limits.total
    }

    /// Says so if connections get fewer than they were to.
    func note(_ configuration: Configuration, _ logger: Logger) {
        guard connections < configuration.http.connections else { return }
        logger.warning(
            "descriptors bound the connections: raise the limit (ulimit -n, LimitNOFILE)",
            metadata: [
                "connections": "\(connections)", "descriptors": "\(limit)",
                "max-connections": "\(configuration.http.connections)",
            ])
    }
}
