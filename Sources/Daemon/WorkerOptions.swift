import ArgumentParser
import JobEngine
import Pools

/// The options of the command line that concern worker processes alone.
struct WorkerOptions: ParsableArguments {
    @Option(
        help: "Calls, or chunks of a map, after which a worker is replaced (default: no bound).")
    var workerMaxJobs: Int?

    @Option(
        help: "Bytes of resident memory above which a worker is replaced after a call; no bound.")
    var workerMaxMemory: Int?

    @Option(help: "Descriptors that a worker or a command may have open (default: the server's).")
    var workerOpenFiles: Int?

    @Option(
        help: "Processes and threads that the server's user may have; does not hold for root.")
    var workerProcesses: Int?

    @Option(
        help: "Workers that a job may end before it is given up, whatever its retry policy says.")
    var maxWorkerDeaths = EngineSettings().workerDeaths

    var rules: WorkerRules {
        var rules = WorkerRules()
        rules.maxCalls = workerMaxJobs
        rules.maxMemoryBytes = workerMaxMemory
        rules.openFiles = workerOpenFiles
        rules.processes = workerProcesses
        return rules
    }

    func validate() throws {
        for (name, value, least) in [
            ("--worker-max-jobs", workerMaxJobs, 1), ("--worker-max-memory", workerMaxMemory, 1),
            // Python alone has a dozen open while it imports.
            ("--worker-open-files", workerOpenFiles, 32),
            ("--worker-processes", workerProcesses, 1),
            ("--max-worker-deaths", maxWorkerDeaths, 1),
        ] {
            if let value, value < least {
                throw ValidationError("\(name) must be \(least) or more")
            }
        }
    }
}
