// flyingfox-peer PORT: the routes that are measured, written as FlyingFox's documentation shows.
import FlyingFox
import Foundation

struct Submission: Decodable {
    let function: String
    let args: [String]
    let tags: [String]
    let priority: Int
    let timeout: Double
}

struct Accepted: Encodable {
    let id: String
    let function: String
    let state: String
}

@main
struct FlyingFoxPeer {
    static func main() async throws {
        let large = Data(repeating: UInt8(ascii: "x"), count: 10_000_000)
        let server = HTTPServer(
            address: try .inet(ip4: "127.0.0.1", port: UInt16(CommandLine.arguments[1]) ?? 0),
            logger: .disabled)
        await server.appendRoute("GET /healthz") { _ in
            HTTPResponse(
                statusCode: .ok, headers: [.contentType: "application/json"],
                body: Data("{\"status\":\"ok\"}\n".utf8))
        }
        await server.appendRoute("POST /jobs") { request in
            let job = try JSONDecoder().decode(Submission.self, from: await request.bodyData)
            let answer = Accepted(id: UUID().uuidString, function: job.function, state: "queued")
            return HTTPResponse(
                statusCode: .accepted, headers: [.contentType: "application/json"],
                body: try JSONEncoder().encode(answer))
        }
        await server.appendRoute("POST /large") { request in
            var count = 0
            for try await piece in request.bodySequence { count += piece.count }
            return HTTPResponse(statusCode: .ok, body: Data("\(count)\n".utf8))
        }
        await server.appendRoute("GET /large") { _ in HTTPResponse(statusCode: .ok, body: large) }
        try await server.run()
    }
}
