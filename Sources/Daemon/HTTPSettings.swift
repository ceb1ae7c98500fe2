import HTTPWire
import JobsAPI
import Sockets
import Tracing
import WebServer

extension HTTPServerConfiguration {
    /// The HTTP server's settings as the program's say; no token is asked for `openPaths` and the
    /// health checks.
    init(
        _ configuration: Configuration, tls: TLSContext?, tracer: Tracer?, openPaths: Set<String>,
    ) throws {
        self.init { status, detail in
            Problem(status, "http-\(status)", HTTPStatus.reason(status), detail).response
        }
        self.tls = tls
        self.tracer = tracer
        trustedProxies = configuration.trustedProxies
        if let path = configuration.accessLog {
            guard let log = AccessLog(path: path) else {
                throw Refusal(description: "cannot write --access-log \(path)")
            }
            accessLog = log
        }
        connections = configuration.http.connections
        connectionsPerAddress = configuration.http.connectionsPerAddress
        limits.bodyBytes = configuration.http.bodyBytes
        idleTimeout = .seconds(configuration.http.idleSeconds)
        if let token = configuration.token { authorize = Self.check(token, openPaths) }
    }

    /// Lets pass who sends the token, health checks, and what is for all.
    private static func check(
        _ token: String, _ openPaths: Set<String>,
    ) -> @Sendable (HTTPRequest) -> HTTPResponse? {
        let wanted = Array("Bearer \(token)".utf8)
        return { request in
            if request.head.isPath("/healthz") || request.head.isPath("/readyz") { return nil }
            let sent = request.head.field("authorization") ?? ""
            if isEqual(Array(sent.utf8), wanted) { return nil }
            if openPaths.contains(String(request.head.path)) { return nil }
            var refused = Problem(
                401, "unauthorized", "A token is wanted",
                "Send Authorization: Bearer TOKEN with the server's token."
            ).response
            refused.fields.append(("WWW-Authenticate", "Bearer"))
            return refused
        }
    }

    /// Takes as long for a near miss as for a far one.
    private static func isEqual(_ sent: [UInt8], _ wanted: [UInt8]) -> Bool {
        var difference = sent.count ^ wanted.count
        for index in wanted.indices {
            difference |= Int(wanted[index] ^ (index < sent.count ? sent[index] : 0))
        }
        return difference == 0
    }
}
