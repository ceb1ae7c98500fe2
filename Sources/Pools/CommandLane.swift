import CLinux
import Glibc
import Jobs
import RawJSON
import Sockets
import Threads

/// Runs command functions: one process a call, arguments on stdin, the result on stdout.
///
/// Reading and writing the pipes and waiting happen on a thread of `threads`, one a running call.
struct CommandLane: Sendable {
    let threads: ThreadExecutor
    let spawner: ThreadExecutor
    let children: ChildProcesses
    let rules: WorkerRules
    let kills: KernelKills
    let sandbox: Sandbox?
    let cgroups: CgroupFolder?
    /// Slots of the pool.
    let poolSlots: Int
    /// In bytes; a command that writes more is killed.
    static let outputLimit = 64 << 20

    /// A process that has been started, with our ends of its pipes.
    private struct Started {
        let pid: pid_t
        let input: Int32
        let output: Int32
        let error: Int32
    }

    /// Runs one call, which takes a number of `slots` of this lane's, as `process`, by which it can
    /// be killed.
    func run(
        _ path: String, _ arguments: RawJSON, of call: Call, slots: Int, home: ServerHome?,
        as process: CommandProcess,
    ) async -> Result<RawJSON, Failure> {
        var environment = inheritedEnvironment()
        home?.add(to: &environment)
        environment.capThreads(workers: poolSlots, each: slots)
        let (source, limits) = (call.source, call.limits)
        if let trace = source?.traceparent { environment["TRACEPARENT"] = trace }
        var launch = WorkerLaunch(arguments: [path], environment: environment, rules: rules)
        launch.limits = limits
        launch.sandbox = sandbox
        // It costs as much as the start of a small program, or more, where clone3 is not to be had.
        if limits.memoryBytes != nil || rules.processes != nil { launch.cgroups = cgroups }
        var start = await start(launch)
        var shortage = Shortage()
        while case .failure(let error) = start, shortage.isToPass(after: error), !process.isEnding {
            // One that is cancelled does not wait; then the process is to end.
            try? await Task.sleep(for: .milliseconds(200))
            start = await self.start(launch)
        }
        let started: Started
        do throws(SocketError) {
            started = try start.get()
        } catch {
            return .failure(Failure(.unavailable, type: "SystemError", message: "\(error)"))
        }
        process.started(started.pid)
        let bytes = Array(arguments.bytes)
        return await withUnsafeContinuation { continuation in
            threads.execute {
                var errors = StandardError(started.error, of: source)
                let outcome = converse(
                    started.pid, bytes, to: started.input, from: started.output, &errors, path,
                    limits)
                spawner.execute {
                    children.sweep(on: spawner)
                    continuation.resume(returning: outcome)
                }
            }
        }
    }

    private func start(_ launch: WorkerLaunch) async -> Result<Started, SocketError> {
        var input: [Int32] = [-1, -1]
        var output: [Int32] = [-1, -1]
        var errors: [Int32] = [-1, -1]
        guard clinux_pipe(&input) == 0, clinux_pipe(&output) == 0, clinux_pipe(&errors) == 0 else {
            let failure = SocketError.system("pipe", errno)
            for end in input + output + errors where end >= 0 { close(end) }
            return .failure(failure)
        }
        let (stdin, stdout, stderr) = (input, output, errors)
        return await withUnsafeContinuation { continuation in
            spawner.execute {
                let pid = spawnProcess(
                    launch, input: stdin[0], output: stdout[1], error: stderr[1], channel: -1,
                    in: children)
                for end in [stdin[0], stdout[1], stderr[1]] { close(end) }
                if pid > 0 {
                    let started = Started(
                        pid: pid, input: stdin[1], output: stdout[0], error: stderr[0])
                    continuation.resume(returning: .success(started))
                    return
                }
                for end in [stdin[1], stdout[0], stderr[0]] { close(end) }
                let what = "start \(launch.arguments.first ?? "")"
                continuation.resume(returning: .failure(.system(what, -pid)))
            }
        }
    }

    /// Feeds the process, collects its output and reaps it; blocks.
    private func converse(
        _ pid: pid_t, _ input: [UInt8], to stdin: Int32, from stdout: Int32,
        _ errors: inout StandardError, _ path: String, _ limits: CallLimits,
    ) -> Result<RawJSON, Failure> {
        _ = fcntl(stdin, F_SETFL, O_NONBLOCK)
        let outputLimit = limits.outputBytes ?? Self.outputLimit
        var written = 0
        var output: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        var isFeeding = true
        var pidfd = clinux_pidfd_open(pid)
        while true {
            var watched = [
                pollfd(fd: stdout, events: Int16(POLLIN), revents: 0),
                pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0),
                errors.watched,
            ]
            if isFeeding { watched.append(pollfd(fd: stdin, events: Int16(POLLOUT), revents: 0)) }
            poll(&watched, nfds_t(watched.count), -1)
            if watched[1].revents != 0 {
                // What it has left behind may hold the pipe open: it goes with it.
                kill(-pid, SIGKILL)
                spawner.execute { children.sweep(on: spawner) }
                close(pidfd)
                pidfd = -1
            }
            if watched[2].revents != 0 { errors.read(&buffer) }
            if isFeeding, watched[3].revents != 0 {
                let count = input.withUnsafeBytes {
                    write(stdin, $0.baseAddress.map { $0 + written }, $0.count - written)
                }
                if count > 0 { written += count }
                // A command need not read its input: a closed pipe is no failure.
                if written == input.count || (count < 0 && errno != EAGAIN) {
                    close(stdin)
                    isFeeding = false
                }
            }
            guard watched[0].revents != 0 else { continue }
            let count = read(stdout, &buffer, buffer.count)
            if count <= 0 { break }
            output += buffer[..<count]
            if output.count > outputLimit { kill(-pid, SIGKILL) }
        }
        if isFeeding { close(stdin) }
        close(stdout)
        if pidfd >= 0 {
            errors.read(until: pidfd, &buffer)
            close(pidfd)
        }
        var information = siginfo_t()
        waitid(P_PID, id_t(pid), &information, WEXITED | WNOWAIT)
        let end = children.reap(pid)
        kill(-pid, SIGKILL)  // children left behind in its group
        errors.read(&buffer)
        errors.finish()
        return judge(output, end, path, limits)
    }

    private func judge(
        _ output: [UInt8], _ end: ProcessEnd, _ path: String, _ limits: CallLimits,
    ) -> Result<RawJSON, Failure> {
        let outputLimit = limits.outputBytes ?? Self.outputLimit
        if output.count > outputLimit {
            return .failure(
                Failure(
                    .limit, type: "OutputLimit", message: "The output is over \(outputLimit) bytes."
                ))
        }
        guard end.status == 0 else { return .failure(end.failure(within: limits, kills)) }
        do throws(RawJSONError) {
            return .success(try RawJSON(validating: output))
        } catch {
            return .failure(
                Failure(
                    .exception, type: "OutputError",
                    message: "The output of \(path) is not JSON: \(error)."))
        }
    }
}

/// What the server keeps from its workers.
private let secretVariables: Set<Substring> = [
    "MARTLET_TOKEN", "MARTLET_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS",
]

/// The server's own environment, without its secrets.
package func inheritedEnvironment() -> [String: String] {
    var found: [String: String] = [:]
    var entry = environ
    while let text = entry.pointee {
        let parts = String(cString: text).split(separator: "=", maxSplits: 1)
        if parts.count == 2, !secretVariables.contains(parts[0]) {
            found[String(parts[0])] = String(parts[1])
        }
        entry += 1
    }
    return found
}

extension [String: String] {
    /// Bounds the threads that numerical libraries start in each of some worker processes, so that
    /// together they have as many as there are CPUs; what the operator has set stays.
    ///
    /// - Parameters:
    ///   - workers: how many there are.
    ///   - slots: of them that this one may fill.
    package mutating func capThreads(workers: Int, each slots: Int = 1) {
        let threads = String(
            Swift.max(1, HostCapacity.cpus() / Swift.max(1, workers)) * slots)
        for name in [
            "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
            "VECLIB_MAXIMUM_THREADS",
        ] where self[name] == nil {
            self[name] = threads
        }
    }
}
