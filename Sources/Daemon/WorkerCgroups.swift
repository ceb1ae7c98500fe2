import Logging
import Pools

/// Whether workers get cgroups of their own.
enum CgroupChoice: String, CaseIterable {
    /// Where the system lets the server make some.
    case auto
    /// Or the server does not start.
    case on
    case off
}

extension CgroupFolder {
    /// The place of the workers' cgroups, as the setting wants it; says in the log what limits hold.
    ///
    /// - Throws: `Refusal` when there must be one and cannot.
    convenience init?(_ choice: CgroupChoice, logger: Logger) throws {
        guard choice != .off else { return nil }
        do throws(CgroupRefusal) {
            try self.init(logger: logger)
        } catch {
            guard choice == .auto else {
                throw Refusal(
                    description: "--worker-cgroups on: the server cannot make cgroups: \(error)."
                        + " A container or unit must give it its own; see Docs/operations.md")
            }
            logger.notice(
                "limits hold for each process alone, without cgroups", metadata: ["why": "\(error)"]
            )
            return nil
        }
        logger.notice("limits hold for all that a worker starts", metadata: ["cgroup": "\(path)"])
    }
}
