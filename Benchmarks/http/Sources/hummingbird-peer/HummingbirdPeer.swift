// hummingbird-peer PORT [h2]: the routes that are measured, written as Hummingbird's documentation
// shows; with `h2` it speaks HTTP/2 without TLS instead of HTTP/1.1.
import Foundation
import Hummingbird
import HummingbirdCore
import HummingbirdHTTP2
import Logging

struct Submission: Decodable {
    let function: String
    let args: [String]
    let tags: [String]
    let priority: Int
    let timeout: Double
}

struct Accepted: ResponseCodable {
    let id: String
    let function: String
    let state: String
}

@main
struct HummingbirdPeer {
    static func main() async throws {
        let arguments = CommandLine.arguments
        let large = ByteBuffer(repeating: UInt8(ascii: "x"), count: 10_000_000)
        let router = Router()
        router.get("healthz") { _, _ in
            Response(
                status: .ok, headers: [.contentType: "application/json"],
                body: .init(byteBuffer: ByteBuffer(staticString: "{\"status\":\"ok\"}\n")))
        }
        router.post("jobs") { request, context in
            let job = try await request.decode(as: Submission.self, context: context)
            return EditedResponse(
                status: .accepted,
                response: Accepted(id: UUID().uuidString, function: job.function, state: "queued"))
        }
        router.post("large") { request, _ -> String in
            var count = 0
            for try await piece in request.body { count += piece.readableBytes }
            return "\(count)\n"
        }
        router.get("large") { _, _ in
            Response(status: .ok, body: .init(byteBuffer: large))
        }

        var logger = Logger(label: "hummingbird-peer")
        logger.logLevel = .error
        let port = Int(arguments[1]) ?? 0
        let configuration = ApplicationConfiguration(address: .hostname("127.0.0.1", port: port))
        let server: HTTPServerBuilder = arguments.contains("h2") ? .plaintextHTTP2() : .http1()
        let app = Application(
            router: router, server: server, configuration: configuration, logger: logger)
        try await app.runService()
    }
}
