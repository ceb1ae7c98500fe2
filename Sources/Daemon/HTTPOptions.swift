import ArgumentParser
import Sockets

/// The options of the command line that concern the HTTP server alone.
struct HTTPOptions: ParsableArguments {
    @Option(
        help: "HOST:PORT, [IPv6]:PORT or unix:/path; port 0 lets the system choose. Repeatable.")
    var listen = ["127.0.0.1:8080"]

    @Option(help: "PEM file with the certificate chain; the internet addresses then speak TLS.")
    var tlsCert: String?

    @Option(help: "PEM file with the certificate's key.")
    var tlsKey: String?

    @Option(help: "PEM file with authorities; clients must have a certificate of one of them.")
    var tlsClientCa: String?

    @Option(help: "Address or network of a proxy whose Forwarded fields are believed. Repeatable.")
    var trustedProxy: [String] = []

    @Option(help: "File that a line of JSON a response is appended to; - for stderr.")
    var accessLog: String?

    @Option(help: "Connections at once (default: 20480).")
    var maxConnections: Int?

    @Option(help: "Connections at once of one address (default: 10240).")
    var maxConnectionsPerAddress: Int?

    @Option(help: "Bytes of a request's body (default: 67108864).")
    var maxBodyBytes: Int?

    @Option(help: "Seconds that a connection may wait for its next request (default: 75).")
    var idleSeconds: Double?

    func apply(to configuration: inout Configuration) throws {
        configuration.listen = try listen.map { text in
            guard let address = ListenAddress(text) else {
                throw ValidationError(
                    "--listen takes HOST:PORT, [IPv6]:PORT or unix:/path, not \"\(text)\"")
            }
            return address
        }
        configuration.tls = try tlsFiles()
        configuration.trustedProxies = try trustedProxy.map { text in
            guard let range = AddressRange(text) else {
                throw ValidationError(
                    "--trusted-proxy takes an address or network, not \"\(text)\"")
            }
            return range
        }
        configuration.accessLog = accessLog
        for (name, value) in [
            ("--max-connections", maxConnections),
            ("--max-connections-per-address", maxConnectionsPerAddress),
            ("--max-body-bytes", maxBodyBytes),
        ] {
            if let value, value < 1 { throw ValidationError("\(name) must be 1 or more") }
        }
        if let idleSeconds, !(idleSeconds > 0 && idleSeconds <= 86_400) {
            throw ValidationError("--idle-seconds must be over 0 and at most 86400")
        }
        configuration.http.connections = maxConnections
        configuration.http.connectionsPerAddress = maxConnectionsPerAddress
        configuration.http.bodyBytes = maxBodyBytes
        configuration.http.idleSeconds = idleSeconds
    }

    private func tlsFiles() throws -> TLSContext.Files? {
        if let tlsCert, let tlsKey {
            return TLSContext.Files(
                certificate: tlsCert, key: tlsKey, clientAuthorities: tlsClientCa)
        }
        guard tlsCert == nil, tlsKey == nil, tlsClientCa == nil else {
            throw ValidationError("TLS wants both --tls-cert and --tls-key")
        }
        return nil
    }
}
