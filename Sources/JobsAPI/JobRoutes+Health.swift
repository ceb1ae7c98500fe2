import HTTPWire
import JobEngine
import WebServer

/// For those who watch over the server.
extension JobRoutes {
    /// Whether the server lives: its engine answers, or has done so within the last second.
    func health(_ request: HTTPRequest) async throws -> HTTPResponse {
        if !queue.hasAnsweredLately { await queue.answer() }
        return Self.healthy
    }

    /// The same without waiting; nil when the engine must be asked.
    func healthAtOnce(_ request: HTTPRequest) -> HTTPResponse? {
        queue.hasAnsweredLately ? Self.healthy : nil
    }

    private static let healthy = HTTPResponse.json(200, Array("{\"status\":\"ok\"}\n".utf8))

    /// Whether jobs should be sent here.
    func readiness(_ request: HTTPRequest) async throws -> HTTPResponse {
        let hindrances = await queue.hindrances()
        guard hindrances.isEmpty else {
            throw Problem(
                503, "not-ready", "The server takes no jobs", hindrances.joined(separator: " "))
        }
        return .json(200, Array("{\"status\":\"ready\"}\n".utf8))
    }
}
