// memory-server PORT FOLDER: Martlet's HTTP server, routes and engine on a store in memory, to measure what
// a submission costs without the disk. There are no pools: jobs are taken and wait.
import Blobs
import Functions
import Glibc
import HTTPWire
import JobEngine
import Jobs
import JobsAPI
import Logging
import Pools
import Sockets
import TestSupport
import WebServer

@main
struct MemoryServer {
    static func main() async throws {
        signal(SIGPIPE, SIG_IGN)
        let catalogue = FunctionCatalogue()
        catalogue.replace(
            .native,
            functions: [Function(name: "echo", runtime: .native, pool: .thread, pools: [.thread])])
        var settings = EngineSettings()
        settings.openJobs = .max
        let queue = try await JobQueue.start(
            EngineParts(
                store: MemoryJobStore(), pools: [:], slots: [:], catalogue: catalogue,
                settings: settings, loop: try EventLoop(name: "engine"),
                logger: Logger(label: "memory-server")))
        let arguments = CommandLine.arguments
        let blobs = try BlobFolder(at: arguments[2], mostBytes: 0)
        let routes = JobRoutes(queue: queue, blobs: blobs, http: HTTPServerWatch()).routes
        let server = try HTTPServer(
            listen: [.internet(host: "127.0.0.1", port: Int(arguments[1]) ?? 0)],
            loops: try (0..<HostCapacity.cpus()).map { try EventLoop(name: "http-\($0)") },
            router: Router(routes),
            configuration: HTTPServerConfiguration { status, detail in
                Problem(status, "http-\(status)", HTTPStatus.reason(status), detail).response
            })
        // Until it is killed.
        while true { try await Task.sleep(for: .seconds(3600)) }
        withExtendedLifetime(server) {}
    }
}
