// decode-server PORT FOLDER: Martlet's HTTP server, which reads submissions, makes jobs of them and
// answers as Martlet does, but keeps nothing, like the peers that it is measured beside.
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
struct DecodeServer {
    static func main() async throws {
        signal(SIGPIPE, SIG_IGN)
        let arguments = CommandLine.arguments
        let catalogue = FunctionCatalogue()
        catalogue.replace(
            .native,
            functions: [Function(name: "echo", runtime: .native, pool: .thread, pools: [.thread])])
        let queue = try await JobQueue.recover(
            EngineParts(
                store: MemoryJobStore(), pools: [:], slots: [:], catalogue: catalogue,
                settings: EngineSettings(), loop: try EventLoop(name: "engine"),
                logger: Logger(label: "decode-server")))
        let jobs = JobRoutes(
            queue: queue, blobs: try BlobFolder(at: arguments[2], mostBytes: 0),
            http: HTTPServerWatch())
        let submit: @Sendable (HTTPRequest) -> HTTPResponse = { request in
            do {
                return jobs.accepted(try jobs.job(submittedBy: request), status: 202)
            } catch {
                return HTTPResponse(422, type: "text/plain", Array("\(error)".utf8))
            }
        }
        let server = try HTTPServer(
            listen: [.internet(host: "127.0.0.1", port: Int(arguments[1]) ?? 0)],
            loops: try EventLoop.group("http", count: HostCapacity.cpus(), areApart: true),
            router: Router([
                Route(.post, "/v1/jobs", body: .collected) { submit($0) }.quickly(submit)
                    .taking("application/json", "application/x-ndjson")
            ]),
            configuration: HTTPServerConfiguration { status, detail in
                HTTPResponse(status, type: "text/plain", Array(detail.utf8))
            })
        server.open()
        // Until it is killed. The thread waits itself: valgrind does not get on with Dispatch's way.
        while true { pause() }
        withExtendedLifetime(server) {}
    }
}
