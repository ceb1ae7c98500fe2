import HTTPWire
import JobEngine
import WebServer

/// For those who watch over the server.
extension JobRoutes {
    /// Whether the server lives: its engine answers.
    func health(_ request: HTTPRequest) async throws -> HTTPResponse {
        await queue.answer()
        return .json(200, Array("{\"status\":\"ok\"}\n".utf8))
    }

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
