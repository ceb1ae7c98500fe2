import HTTPWire
import Testing

@testable import WebServer

@Suite struct RouterTests {
    private static let router = Router(
        ([
            (.get, "/"), (.post, "/v1/jobs"), (.get, "/v1/jobs"), (.post, "/v1/jobs/batch"),
            (.get, "/v1/jobs/{id}"), (.get, "/v1/jobs/{id}/items/{index}"),
        ] as [(HTTPMethod, String)])
        .map { method, path in Route(method, path) { _ in HTTPResponse(200, .bytes([])) } })

    private func find(_ method: String, _ target: String) throws -> String {
        var parser = HTTP1Parser(limits: HTTPLimits())
        let text = "\(method) \(target) HTTP/1.1\r\nHost: a\r\n\r\n"
        let head = try #require(try parser.parse(Array(text.utf8).span)).head
        var places = PathPlaces()
        switch Self.router.find(head, &places) {
        case .route(let endpoint):
            let parameters = PathParameters(
                names: endpoint.places, path: head.bytes, places: places)
            let values = ["id", "index"].compactMap { name in
                parameters[name].map { "\(name)=\($0)" }
            }
            return ([endpoint.route.method.rawValue, endpoint.route.path] + values).joined(
                separator: " ")
        case .methods(let allowed): return "405 \(allowed)"
        case .nothing: return "404"
        case .malformed: return "400"
        }
    }

    @Test(arguments: [
        ("GET", "/", "GET /"), ("GET", "/v1/jobs?x", "GET /v1/jobs"),
        ("HEAD", "/v1/jobs", "GET /v1/jobs"), ("POST", "/v1/jobs/batch", "POST /v1/jobs/batch"),
        ("GET", "/v1/jobs/batch", "405 POST, OPTIONS"),
        ("GET", "/v1/jobs/a%20b", "GET /v1/jobs/{id} id=a b"),
        ("GET", "/v1/jobs/a%2Fb", "GET /v1/jobs/{id} id=a/b"),
        ("GET", "/v1/%6aobs", "GET /v1/jobs"), ("GET", "/v1/%256aobs", "404"),
        ("GET", "/v1/jobs/7/items/3", "GET /v1/jobs/{id}/items/{index} id=7 index=3"),
        ("GET", "/v1/jobs/batch/items/3", "GET /v1/jobs/{id}/items/{index} id=batch index=3"),
        ("DELETE", "/v1/jobs", "405 POST, GET, HEAD, OPTIONS"), ("GET", "/v1", "404"),
        ("GET", "/v1/jobs/", "GET /v1/jobs/{id} id="), ("GET", "//", "404"),
        ("GET", "/v1/%zz", "400"),
        ("GET", "/v1/jobs/7/items", "404"), ("GET", "/v1/jobs/%ff", "400"),
    ])
    func `paths lead to their routes`(method: String, target: String, wanted: String) throws {
        #expect(try find(method, target) == wanted)
    }
}
