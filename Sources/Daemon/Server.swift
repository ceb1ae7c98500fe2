import CLinux
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
import WebClient
import WebServer

/// Why a server does not start, for a person.
struct Refusal: Error, CustomStringConvertible {
    let description: String
}

/// The life of the program: builds the parts, runs them, stops them in order.
enum Server {
    static func run(_ configuration: Configuration) async throws {
        signal(SIGPIPE, SIG_IGN)
        let logger = Logger(label: "martlet") { StreamLogHandler.standardError(label: $0) }
        let store = try openStore(configuration)
        let engineLoop = try EventLoop(name: "engine")
        let catalogue = FunctionCatalogue()
        let web = try webClient(configuration)
        let natives = NativeCatalogue(web: web)
        catalogue.replace(.native, functions: natives.functions.map(\.function))

        let runtimes = try Runtimes(
            configuration, natives: natives, catalogue: catalogue, loop: engineLoop, logger: logger)
        await runtimes.start()
        var settings = EngineSettings()
        settings.openJobs = configuration.maxQueued
        let queue = try await JobQueue.start(
            EngineParts(
                store: store, pools: runtimes.pools, slots: runtimes.slots, catalogue: catalogue,
                settings: settings, loop: engineLoop, logger: logger))

        let loops = try (0..<configuration.loops).map { try EventLoop(name: "http-\($0)") }
        let server = try HTTPServer(
            host: configuration.host, port: configuration.port, loops: loops,
            router: Router(JobRoutes(queue: queue).routes), configuration: http(configuration))
        logger.notice(
            "listening", metadata: ["address": "http://\(configuration.host):\(server.port)"])
        // Care of the store and the functions goes on beside the server, until it stops.
        let care = Task {
            await withTaskGroup { group in
                group.addTask { await prune(queue, logger) }
                group.addTask { await runtimes.watchFiles() }
            }
        }

        await firstSignal(on: engineLoop)
        logger.notice("stopping")
        care.cancel()
        await server.stop(grace: .seconds(configuration.drainSeconds))
        await queue.stop(within: .seconds(configuration.drainSeconds))
        web.close()
        store.close()
        logger.notice("stopped")
    }

    private static func openStore(_ configuration: Configuration) throws -> SQLiteJobStore {
        do throws(StoreError) {
            return try SQLiteJobStore(directory: configuration.data)
        } catch {
            throw Refusal(description: "\(error)")
        }
    }

    private static func webClient(_ configuration: Configuration) throws -> WebClient {
        WebClient(
            on: try EventLoop(name: "web"),
            access: WebAccess(
                try TargetRules(allowing: configuration.fetchTargets),
                authorities: configuration.fetchAuthorities),
            limits: configuration.fetchLimits)
    }

    private static func http(_ configuration: Configuration) -> HTTPServerConfiguration {
        var http = HTTPServerConfiguration { status, detail in
            Problem(
                status, "http-\(status)", HTTPStatus.reason(status), detail
            ).response
        }
        if let token = configuration.token {
            http.authorize = { request in
                if request.head.path == "/healthz" || request.head.path == "/readyz" { return nil }
                let sent = request.head.field("authorization") ?? ""
                if isEqual(Array(sent.utf8), Array("Bearer \(token)".utf8)) { return nil }
                var refused = Problem(
                    401, "unauthorized", "A token is wanted",
                    "Send Authorization: Bearer TOKEN with the server's token."
                ).response
                refused.fields.append(("WWW-Authenticate", "Bearer"))
                return refused
            }
        }
        return http
    }

    /// Takes as long for a near miss as for a far one.
    private static func isEqual(_ sent: [UInt8], _ wanted: [UInt8]) -> Bool {
        var difference = sent.count ^ wanted.count
        for index in wanted.indices {
            difference |= Int(wanted[index] ^ (index < sent.count ? sent[index] : 0))
        }
        return difference == 0
    }

    private static func firstSignal(on loop: EventLoop) async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            loop.execute {
                var waiting: CheckedContinuation<Void, Never>? = continuation
                do {
                    signals = try SignalWatch([SIGTERM, SIGINT], on: loop) { _ in
                        if waiting == nil { exit(1) }  // the second one hurries
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
