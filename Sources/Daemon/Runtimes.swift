import Functions
import Glibc
import Jobs
import Logging
import Pools
import RawJSON
import Sockets
import Synchronization
import Threads

/// The three pools and the functions that they run.
final class Runtimes: Sendable {
    let pools: [PoolKind: any JobPool]
    let slots: [PoolKind: Int]
    private let all: [RuntimePool]
    private let process: RuntimePool
    private let folder: FunctionFolder?
    private let allowsPickle: Bool
    private let sandbox: Sandbox?
    private let cgroups: CgroupFolder?
    private let catalogue: FunctionCatalogue
    private let logger: Logger
    private let greetings = AsyncStream.makeStream(of: Void.self)
    /// The files of the functions that are known.
    private let known = Mutex<[FunctionFolder.Entry]>([])
    /// Whether the catalogue takes the next greeting: the first since the start, or since a change
    /// was seen.
    ///
    /// A worker that starts between a change and the look at the folder has the new functions, while
    /// others run the old ones still, whose results must not be kept as those of the new version.
    private let wantsGreeting = Atomic(true)
    private let hasPython: Bool
    private let isPythonStarted = Atomic(false)

    init(
        _ configuration: Configuration, natives: NativeCatalogue, catalogue: FunctionCatalogue,
        loop: EventLoop, logger: Logger,
    ) throws {
        self.catalogue = catalogue
        self.logger = logger
        var configuration = configuration
        // Inside a sandbox the working folder is another one.
        if configuration.isSandboxed {
            configuration.functions = configuration.functions.map(absolute)
        }
        folder = configuration.functions.map(FunctionFolder.init)
        allowsPickle = configuration.allowsPickle
        let spawner = ThreadExecutor(name: "spawner", threads: 1)
        let children = ChildProcesses()
        let kills = KernelKills()
        let runsPython = try wantsPython(configuration, folder, logger)
        // Commands are shut in, too, where there is no Python.
        let package =
            try folder != nil || allowsPickle
            ? EmbeddedFiles.installPython(below: configuration.data) : nil
        hasPython = runsPython
        let shut = try package.flatMap { package in
            try SandboxedPrograms(configuration, package: package, children: children)
        }
        // After all that may refuse the start: what it changes must be put back (`abandon`).
        let cgroups = try CgroupFolder(configuration.workerCgroups, logger: logger)
        self.cgroups = cgroups
        let sandbox = shut?.sandbox
        self.sandbox = sandbox
        let slots: [PoolKind: Int] = [
            .thread: configuration.threads, .process: configuration.processes,
            .async: configuration.asyncLimit,
        ]
        self.slots = slots
        let settings = configuration
        func pool(_ kind: PoolKind) -> RuntimePool {
            var parts = RuntimePool.Parts(
                kind: kind, slots: slots[kind] ?? 1, loop: loop, spawner: spawner,
                children: children,
                natives: natives.functions,
                python: (runsPython ? package : nil).map { package in
                    .python(
                        settings, kind: kind, slots: slots[kind] ?? 1, package: package,
                        program: shut?.python ?? executable(settings.python))
                }, native: .nativeWorker, kills: kills, logger: logger)
            parts.rules = settings.workers
            parts.sandbox = sandbox
            parts.cgroups = cgroups
            return RuntimePool(parts)
        }
        let process = pool(.process)
        let all = [pool(.thread), process, pool(.async)]
        self.process = process
        self.all = all
        pools = Dictionary(uniqueKeysWithValues: all.map { ($0.kind, $0) })
    }

    /// Learns the functions; waits for the first Python worker's greeting, 5 s at most.
    ///
    /// Past that the jobs of functions that it may bring wait for it.
    func start() async {
        let entries = folder?.entries() ?? []
        known.withLock { $0 = entries }
        catalogue.replace(.command, functions: FunctionFolder.commands(in: entries))
        guard allowsPickle || entries.contains(where: \.isPython), await startPython() else {
            return
        }
        await withTaskGroup { group in
            group.addTask {
                for await _ in self.greetings.stream { return }
            }
            group.addTask { try? await Task.sleep(for: .seconds(5)) }
            await group.next()
            group.cancelAll()
        }
        if let reading = catalogue.reading { logger.notice("\(reading) Their jobs wait.") }
    }

    /// Starts the Python workers; the first to greet tells the catalogue what there is.
    ///
    /// - Returns: whether it did; not if they were started before, or there is no Python.
    private func startPython() async -> Bool {
        guard hasPython, !isPythonStarted.exchange(true, ordering: .relaxed) else { return false }
        let (catalogue, logger, greetings) = (catalogue, logger, greetings.continuation)
        catalogue.expect(.python)
        await process.startPython { [weak self] hello in
            guard let self, wantsGreeting.exchange(false, ordering: .relaxed) else { return }
            let broken = read(hello, into: catalogue)
            for file in broken {
                logger.error(
                    "cannot import", metadata: ["file": "\(file.file)", "error": "\(file.error)"])
            }
            greetings.yield()
        }
        return true
    }

    /// Tells what runs in the pools where the server is reached; nothing if it cannot be from here.
    func announce(_ addresses: [ListenAddress], isSecure: Bool, token: String?) async {
        // A sandbox has no network; a Unix socket is reached where its folder is shown.
        let near = addresses.filter { address in
            guard let sandbox else { return true }
            guard case .unix(let path) = address else { return false }
            return sandbox.shows(absolute(path))
        }
        guard let home = ServerHome(reaching: near, isSecure: isSecure, token: token) else {
            return
        }
        for pool in all { await pool.announce(home) }
    }

    /// Removes the workers' cgroups, when the pools are stopped.
    func releaseCgroups() async {
        guard let cgroups else { return }
        // It waits for what is killed.
        let thread = ThreadExecutor(name: "cgroups", threads: 1)
        await withCheckedContinuation { continuation in
            thread.execute {
                cgroups.release()
                continuation.resume()
            }
        }
        thread.stop()
    }

    /// Ends the workers of a start that is refused, and leaves the cgroups as they were before it.
    func abandon() async {
        for pool in all { await pool.stop() }
        await releaseCgroups()
    }

    /// Looks once a second whether a file of functions has changed, until the task is cancelled.
    ///
    /// It blocks: files are looked at and read.
    func watchFiles() async {
        guard let folder else { return }
        while (try? await Task.sleep(for: .seconds(1))) != nil {
            let entries = folder.entries()
            let isChanged = known.withLock { known in
                defer { known = entries }
                return entries != known
            }
            guard isChanged else { continue }
            logger.notice("functions have changed; new workers take over")
            catalogue.replace(.command, functions: FunctionFolder.commands(in: entries))
            // The first file of Python's in the folder, perhaps.
            if entries.contains(where: \.isPython), await startPython() { continue }
            await process.reloadPython()
            wantsGreeting.store(true, ordering: .relaxed)
            for pool in all where pool !== process { await pool.reloadPython() }
        }
    }
}

/// Puts the functions of a worker's greeting into the catalogue; returns the broken files, those of
/// functions that there cannot be among them.
@discardableResult
private func read(_ hello: RawJSON, into catalogue: FunctionCatalogue) -> [BrokenFile] {
    var broken = (hello.member("broken")?.elements() ?? []).map { file in
        BrokenFile(
            file: file.member("file")?.string ?? "", error: file.member("error")?.string ?? "",
            traceback: file.member("traceback")?.string)
    }
    var functions: [Function] = []
    for member in hello.member("functions")?.elements() ?? [] {
        do throws(SubmissionError) {
            functions.append(try Function(hello: member))
        } catch {
            let name = member.member("name")?.string ?? "a function without a name"
            broken.append(
                BrokenFile(
                    file: member.member("file")?.string ?? "", error: "\(name): \(error.detail)"))
        }
    }
    catalogue.replace(.python, functions: functions, broken: broken)
    return broken
}

extension ServerHome {
    /// The first address that is plain, as it is reached from this machine; nil when there is none.
    ///
    /// Not by TLS, whose certificate is for the names that others reach the server by.
    init?(reaching addresses: [ListenAddress], isSecure: Bool, token: String?) {
        let plain = addresses.first { address in
            if case .unix = address { true } else { !isSecure }
        }
        switch plain {
        case nil: return nil
        case .unix(let path): self.init(url: "unix:\(absolute(path))", token: token)
        case .internet(let host, let port):
            let near = ["0.0.0.0": "127.0.0.1", "::": "::1"][host] ?? host
            let address = ListenAddress.internet(host: near, port: port)
            self.init(url: address.url(isSecure: false), token: token)
        }
    }
}

extension WorkerLaunch {
    /// `martlet worker`: this very binary.
    fileprivate static var nativeWorker: WorkerLaunch {
        WorkerLaunch(
            arguments: ["/proc/self/exe", "worker"], environment: inheritedEnvironment())
    }

    fileprivate static func python(
        _ configuration: Configuration, kind: PoolKind, slots: Int, package: String,
        program: String,
    ) -> WorkerLaunch {
        var environment = inheritedEnvironment()
        let path = [absolute(package), environment["PYTHONPATH"]].compactMap { $0 }
        environment["PYTHONPATH"] = path.joined(separator: ":")
        environment["MARTLET_FD"] = "3"
        environment["MARTLET_BLOBS"] = absolute(configuration.blobs)
        if kind == .process { environment.capThreads(workers: slots) }
        var arguments = [
            program, "-m", "martlet.worker", "--kind", kind.rawValue,
            "--threads", String(slots),
        ]
        if configuration.allowsPickle { arguments.append("--pickles") }
        if let functions = configuration.functions { arguments.append(functions) }
        return WorkerLaunch(arguments: arguments, environment: environment)
    }
}

/// Whether workers for Python are to be started.
///
/// - Throws: `Refusal` when there are functions for which the program is missing.
private func wantsPython(
    _ configuration: Configuration, _ folder: FunctionFolder?, _ logger: Logger,
) throws -> Bool {
    guard folder != nil || configuration.allowsPickle else { return false }
    if found(configuration.python) != nil { return true }
    let missing = "there is no program \"\(configuration.python)\" (--python)"
    if configuration.allowsPickle { throw Refusal(description: missing) }
    if let file = folder?.entries().first(where: \.isPython) {
        throw Refusal(description: "\(missing), which \(file.path) wants")
    }
    logger.notice("\(missing): functions are native or commands")
    return false
}

/// The path of a program, looked up on `PATH` unless it has a slash.
func executable(_ name: String) -> String { found(name) ?? "/usr/bin/\(name)" }

/// The same; nil when it is not there.
func found(_ name: String) -> String? {
    if name.contains("/") { return access(name, X_OK) == 0 ? name : nil }
    let folders = getenv("PATH").map { String(cString: $0) } ?? "/usr/local/bin:/usr/bin:/bin"
    let candidates = folders.split(separator: ":").map { "\($0)/\(name)" }
    return candidates.first { access($0, X_OK) == 0 }
}

/// A path that holds in whatever folder a worker is.
func absolute(_ path: String) -> String {
    guard !path.hasPrefix("/"), let folder = getcwd(nil, 0) else { return path }
    defer { free(folder) }
    return String(cString: folder) + "/" + path
}
