import Pools

/// Of worker processes and commands.
enum WorkerSettings: SettingTable {
    static let settings: [Setting] = [
        .count(
            "max-worker-deaths", \.maxWorkerDeaths, 1...Int.max, unit: "workers",
            "That a job may end before it is given up, whatever its retry policy says."),
        .limit(
            "worker-max-jobs", \.workers.maxCalls, 1...Int.max, unit: "calls",
            "After which a worker is replaced; a chunk of a map is one."),
        .limit(
            "worker-max-memory", \.workers.maxMemoryBytes, 1...Int.max, unit: "bytes",
            "In memory after a call, above which a worker is replaced."),
        // Python alone has a dozen open while it imports.
        .limit(
            "worker-open-files", \.workers.openFiles, 32...Int.max, unit: "descriptors",
            "That each worker and command may have open."),
        .limit(
            "worker-processes", \.workers.processes, 1...Int.max, unit: "processes",
            "And threads that a worker or command may have; without cgroups, that the server's user may"
                + " (does not hold for root)."),
        .choice(
            "worker-cgroups", \.workerCgroups,
            "Give each worker a cgroup (version 2) of its own, so that limits hold for all that it"
                + " starts: where that can be; on does not start where it cannot."),
    ]
}
