import HTTPWire
import JobsAPI
import Sockets
import Tracing
import WebServer

extension HTTPServerConfiguration {
    /// The HTTP server's settings as the program's say; `RequestGate` says who is let in.
    init(
        _ configuration: Configuration, tls: TLSContext?, tracer: Tracer?, openPaths: Set<String>,
        workerToken: String?, descriptors: DescriptorBudget,
    ) throws {
        self.init { status, detail in
            var problem = Problem(status, "http-\(status)", HTTPStatus.reason(status), detail)
            if status == 503 { problem.retryAfter = 1 }
            return problem.response
        }
        self.tls = tls
        self.tracer = tracer
        trustedProxies = configuration.trustedProxies
        forwardedHeader = configuration.forwardedHeader
        if let path = configuration.accessLog {
            do throws(SocketError) {
                accessLog = try AccessLog(path: path)
            } catch {
                throw Refusal(description: "cannot write --access-log: \(error)")
            }
        }
        var bounds = configuration.http
        bounds.connections = min(bounds.connections, descriptors.connections)
        connections = bounds.connections
        connectionsPerAddress = bounds.connectionsPerAddress
        limits.bodyBytes = configuration.http.bodyBytes
        idleTimeout = .seconds(configuration.http.idleSeconds)
        headTimeout = .seconds(configuration.http.headSeconds)
        bodyTimeout = .seconds(configuration.http.bodySeconds)
        bodyRate = configuration.http.bodyRate
        writeTimeout = .seconds(configuration.http.writeSeconds)
        streams = configuration.http.streams
        heldBytes = configuration.http.heldBytes
        strictTransportSeconds = configuration.http.strictTransportSeconds
        let gate = RequestGate(configuration, openPaths: openPaths, workerToken: workerToken)
        authorize = { gate.refusal(of: $0) }
    }
}
