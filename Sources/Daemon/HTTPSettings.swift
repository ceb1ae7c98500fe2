import HTTPWire
import JobsAPI
import Sockets
import Tracing
import WebServer

extension HTTPServerConfiguration {
    /// The HTTP server's settings as the program's say; no token is asked for `openPaths` and the
    /// health checks.
    ///
    /// The `workerToken` is as good as the configured one.
    init(
        _ configuration: Configuration, tls: TLSContext?, tracer: Tracer?, openPaths: Set<String>,
        workerToken: String?,
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
        let tokens = [configuration.token, workerToken].compactMap(\.self)
        if configuration.token != nil { authorize = Self.check(tokens, openPaths) }
    }

    /// Lets pass who sends a token, health checks, and what is for all.
    private static func check(
        _ tokens: [String], _ openPaths: Set<String>,
    ) -> @Sendable (HTTPRequest) -> HTTPResponse? {
        let wanted = tokens.map { Array("Bearer \($0)".utf8) }
        return { request in
            if request.head.isPath("/healthz") || request.head.isPath("/readyz") { return nil }
            let sent = Array((request.head.field("authorization") ?? "").utf8)
            if wanted.contains(where: { isEqual(sent, $0) }) { return nil }
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
