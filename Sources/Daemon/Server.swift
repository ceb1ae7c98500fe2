import Blobs
import CLinux
import Dashboard
import Functions
import Glibc
import HTTPWire
import JobEngine
import Jobs
import JobsAPI
import Logging
import Pools
import RawJSON
import SQLiteStore
import Sockets
import Threads
import Tracing
import WebClient
import WebServer

/// Why a server does not start, for a person.
struct Refusal: Error, CustomStringConvertible {
    let description: String
}

/// The life of the program: builds the parts, runs them, stops them in order.
struct Server {
    private let configuration: Configuration
    private let logger: Logger
    private let store: SQLiteJobStore
    private let blobs: BlobFolder
    private let engineLoop: EventLoop
    private let catalogue = FunctionCatalogue()
    private let web: WebClient
    private let exporter: SpanExporter?
    private let runtimes: Runtimes
    private let descriptors: DescriptorBudget

    /// Builds what runs jobs; blocks.
    ///
    /// - Throws: why there can be no such server.
    init(_ configuration: Configuration, warnings: [String]) throws {
        self.configuration = configuration
        signal(SIGPIPE, SIG_IGN)
        clinux_tune_allocator()
        let logger = configuration.logFormat.logger
        self.logger = logger
        for warning in warnings { logger.warning("\(warning)") }
        descriptors = DescriptorBudget(configuration)
        descriptors.note(configuration, logger)
        store = try Self.openStore(configuration, logger)
        blobs = try BlobFolder(
            at: configuration.blobs, mostBytes: configuration.maxBlobBytes)
        engineLoop = try EventLoop(name: "engine")
        let webLoop = try EventLoop(name: "web")
        web = WebClient(
            on: webLoop, access: try configuration.fetch.access,
            limits: configuration.fetch.limits)
        exporter = configuration.tracing.target.map { target in
            SpanExporter(
                Tracer(ratio: configuration.tracing.ratio), to: target,
                client: WebClient(on: webLoop, access: WebAccess(.everything)), logger: logger)
        }
        let natives = NativeCatalogue(web: web, readsFiles: !configuration.isSandboxed)
        catalogue.replace(.native, functions: natives.functions.map(\.function))

        runtimes = try Runtimes(
            configuration, natives: natives, catalogue: catalogue, loop: engineLoop, logger: logger)
    }

    /// Serves until a signal says that it is enough.
    ///
    /// - Throws: why it cannot begin to; its workers are gone then, and the cgroups as they were.
    func run() async throws {
        do {
            try await serve()
        } catch {
            await runtimes.abandon()
            throw error
        }
    }

    private func serve() async throws {
        await runtimes.start()
        var settings = EngineSettings()
        settings.openJobs = configuration.maxQueued
        settings.openJobsPerQueue = configuration.maxQueuedPerQueue ?? .max
        settings.workerDeaths = configuration.maxWorkerDeaths
        settings.eventStreams = configuration.maxEventStreams
        let queue = try await JobQueue.recover(
            EngineParts(
                store: store, pools: runtimes.pools, slots: runtimes.slots, catalogue: catalogue,
                settings: settings, loop: engineLoop, logger: logger,
                tracer: exporter?.tracer))

        let tls = try configuration.tls.map { try TLSContext($0) }
        let loops = try EventLoop.group(
            "http", count: configuration.loops, areApart: configuration.keepsLoopsApart)
        let watch = HTTPServerWatch()
        let dashboard = DashboardRoutes()
        let workerToken = configuration.token.map { _ in Self.randomToken() }
        let door = try WorkerDoor(configuration)
        let jobs = JobRoutes(queue: queue, blobs: blobs, http: watch, tracer: exporter?.tracer)
        let server = try HTTPServer(
            listen: configuration.listen + (door.map { [$0.address] } ?? []), loops: loops,
            router: Router(jobs.routes + dashboard.routes),
            configuration: HTTPServerConfiguration(
                configuration, tls: tls, tracer: exporter?.tracer, openPaths: dashboard.paths,
                workerToken: workerToken, descriptors: descriptors))
        watch.look(at: server)
        // Calls may submit jobs: they know where before the first of them runs.
        await runtimes.announce(server.addresses, isSecure: tls != nil, token: workerToken)
        await queue.begin()
        server.open()
        for address in server.addresses where address != door?.address {
            logger.notice(
                "listening", metadata: ["address": "\(address.url(isSecure: tls != nil))"])
        }
        // Care of the store and the functions goes on beside the server, until it stops.
        let files = ThreadExecutor(name: "function-files", threads: 1)
        let care = Task {
            await withTaskGroup { group in
                group.addTask { await Self.prune(queue, logger) }
                group.addTask(executorPreference: files) { await runtimes.watchFiles() }
                group.addTask(executorPreference: files) { await Self.giveBackStart() }
                group.addTask(executorPreference: files) { await SpareMemory.care() }
                group.addTask { await exporter?.run() }
            }
        }

        let grace = StopGrace()
        await Self.firstSignal(on: engineLoop, onSecond: grace.hurry) {
            Self.reload(tls, logger)
            Self.reopen(server.accessLog, logger)
        }
        logger.notice("stopping")
        grace.begin(seconds: configuration.drainSeconds)
        care.cancel()
        files.stop()
        queue.endStreams()
        // Side by side: a request may wait for the end of a job, and is answered all the same when
        // the jobs have had their time.
        let answers = StopGrace()
        async let requests: Void = server.stop { grace.isOver() && answers.isOver() }
        await queue.stop(whenOver: grace.isOver)
        answers.begin(seconds: 1)
        await requests
        await runtimes.releaseCgroups()
        door?.remove()
        await exporter?.finish()
        web.close()
        blobs.stop()
        jobs.stop()
        store.close()
        logger.notice("stopped")
    }

    /// What workers send in place of the server's token, which user code need not know.
    private static func randomToken() -> String {
        var random = SystemRandomNumberGenerator()
        return (0..<4).map { _ in String(random.next(), radix: 36) }.joined()
    }

    private static func openStore(
        _ configuration: Configuration, _ logger: Logger,
    ) throws -> SQLiteJobStore {
        var settings = SQLiteJobStore.Settings()
        settings.maxBytes = configuration.maxStoreBytes.map(Int64.init)
        settings.inlineBytes = configuration.maxInlineBytes
        settings.keySeconds = configuration.idempotencyHours * 3600
        do throws(StoreError) {
            return try SQLiteJobStore(
                directory: configuration.data, settings: settings, logger: logger)
        } catch {
            throw Refusal(description: "\(error)")
        }
    }

    /// Loads the certificate anew; one that cannot be used leaves the old one in place.
    private static func reload(_ tls: TLSContext?, _ logger: Logger) {
        guard let tls else { return }
        do {
            try tls.reload()
            logger.notice("the certificate was loaded anew")
        } catch {
            logger.error("the certificate stays as it was", metadata: ["error": "\(error)"])
        }
    }

    /// Goes on in a new file, where the old one has been moved away.
    private static func reopen(_ log: AccessLog?, _ logger: Logger) {
        log?.reopen { error in
            if let error {
                logger.error(
                    "the access log stays in its old file", metadata: ["error": "\(error)"])
            } else {
                logger.notice("the access log was opened anew")
            }
        }
    }

    /// Waits for SIGTERM or SIGINT; calls `onHangUp` at each SIGHUP.
    ///
    /// `onSecond` is called at the next one; the third ends the process at once.
    private static func firstSignal(
        on loop: EventLoop, onSecond: @escaping @Sendable () -> Void,
        onHangUp: @escaping @Sendable () -> Void,
    ) async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            loop.execute {
                var waiting: CheckedContinuation<Void, Never>? = continuation
                var isHurrying = false
                do {
                    signals = try SignalWatch([SIGTERM, SIGINT, SIGHUP], on: loop) { signal in
                        if signal == SIGHUP { return onHangUp() }
                        if isHurrying { exit(1) }
                        if waiting == nil {
                            isHurrying = true
                            onSecond()
                        }
                        waiting?.resume()
                        waiting = nil
                    }
                } catch {
                    waiting?.resume()
                }
            }
        }
    }

    /// Held for the life of the program: the loop keeps it too.
    private nonisolated(unsafe) static var signals: SignalWatch?

    /// Gives back the code that only the start has run: linking, and what Foundation sets up.
    private static func giveBackStart() async {
        // The end of the server may come first: then there is nothing to give back.
        if (try? await Task.sleep(for: .seconds(1))) != nil { clinux_drop_code_pages() }
    }

    private static func prune(_ queue: JobQueue, _ logger: Logger) async {
        while (try? await Task.sleep(for: .seconds(30))) != nil {
            do throws(StoreError) {
                try await queue.prune()
            } catch {
                logger.error("cannot prune", metadata: ["error": "\(error)"])
            }
        }
    }
}
