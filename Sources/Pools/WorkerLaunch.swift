import CLinux
import Glibc
import Jobs
import Sockets

/// How a fleet's workers are started.
package struct WorkerLaunch: Sendable {
    package var arguments: [String]
    package var environment: [String: String]
    var rules: WorkerRules
    /// Of a process that runs one call alone.
    var limits = CallLimits()
    /// nil for none.
    var sandbox: Sandbox?
    /// Where it gets a cgroup of its own; nil for none.
    var cgroups: CgroupFolder?

    package init(
        arguments: [String], environment: [String: String], rules: WorkerRules = WorkerRules(),
    ) {
        self.arguments = arguments
        self.environment = environment
        self.rules = rules
    }
}

/// A process with our ends of its channel and of its standard streams.
struct StartedWorker {
    let pid: pid_t
    let channel: Int32
    let output: Int32
    let error: Int32
    /// Whether the process is bubblewrap, and the worker below it.
    let isSandboxed: Bool
    let cgroup: Cgroup?

    /// Ends a worker that cannot be watched, for want of descriptors or memory.
    func abandon(_ children: ChildProcesses) {
        kill(-pid, SIGKILL)
        for fd in [channel, output, error] { close(fd) }
        _ = children.reap(pid)  // what is killed before it has done anything ends at once
    }
}

/// Starts a worker with one end of a socket pair as descriptor 3.
func spawnWorker(
    _ launch: WorkerLaunch, _ children: ChildProcesses,
) -> Result<StartedWorker, SocketError> {
    var pair: [Int32] = [-1, -1]
    var output: [Int32] = [-1, -1]
    var error: [Int32] = [-1, -1]
    let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    var failure = 0 as Int32
    if socketpair(AF_UNIX, type, 0, &pair) != 0 || clinux_pipe(&output) != 0
        || clinux_pipe(&error) != 0
    {
        failure = errno
    }
    var pid: pid_t = -failure
    if failure == 0 {
        _ = fcntl(pair[0], F_SETFL, O_NONBLOCK)
        pid = spawnProcess(
            launch, input: -1, output: output[1], error: error[1], channel: pair[1], in: children)
    }
    for theirs in [pair[1], output[1], error[1]] where theirs >= 0 { close(theirs) }
    guard pid > 0 else {
        for ours in [pair[0], output[0], error[0]] where ours >= 0 { close(ours) }
        return .failure(.system("start \(launch.arguments.first ?? "")", -pid))
    }
    return .success(
        StartedWorker(
            pid: pid, channel: pair[0], output: output[0], error: error[0],
            isSandboxed: launch.sandbox != nil, cgroup: children.cgroup(of: pid)))
}

/// Starts a process in a group of its own; its id, or `-errno`.
func spawnProcess(
    _ launch: WorkerLaunch, input: Int32, output: Int32, error: Int32 = 2, channel: Int32,
    in children: ChildProcesses,
) -> pid_t {
    let words = launch.sandbox?.wrapping(launch.arguments) ?? launch.arguments
    let arguments = words.map { strdup($0) } + [nil]
    let environment = launch.environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for text in arguments + environment { free(text) } }
    var made = launch.cgroups?.makeWorker(
        memoryBytes: launch.limits.memoryBytes, processes: launch.rules.processes)
    let folder = made.map { open($0.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) } ?? -1
    defer { if folder >= 0 { close(folder) } }
    if folder < 0 {
        made?.remove()
        made = nil
    }
    let cgroup = made
    return arguments.withUnsafeBufferPointer { arguments in
        environment.withUnsafeBufferPointer { environment in
            guard let argv = arguments.baseAddress, let envp = environment.baseAddress else {
                return -EINVAL
            }
            var spawn = clinux_spawn(
                path: argv[0], arguments: argv, environment: envp, directory: nil, input: input,
                output: output, error: error, channel: channel,
                // The C library of a program would say that there is no memory; how the program then
                // ends tells nobody why.
                memory_bytes: cgroup == nil ? Int64(launch.limits.memoryBytes ?? 0) : 0,
                cpu_seconds: Int64(launch.limits.cpuSeconds ?? 0),
                open_files: Int64(launch.rules.openFiles ?? 0),
                // Of the user's processes, all in all: only where there is nothing better.
                processes: cgroup == nil ? Int64(launch.rules.processes ?? 0) : 0, cgroup: folder)
            let pid = clinux_spawn(&spawn)
            if pid > 0 {
                children.add(pid, isSandboxed: launch.sandbox != nil, cgroup: cgroup)
            } else {
                cgroup?.remove()
            }
            return pid
        }
    }
}
