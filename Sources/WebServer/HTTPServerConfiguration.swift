package import HTTPWire
package import Sockets
package import Tracing

/// Settings of an HTTP server, with their units and defaults.
///
/// Each limit has a counter in `HTTPServerStatistics` that says how often it was met.
package struct HTTPServerConfiguration: Sendable {
    /// Bytes of request lines, heads and bodies, and the number of fields.
    package var limits = HTTPLimits()
    /// Connections in all; past it no more are accepted until one ends.
    package var connections = 20_480
    /// Connections of one IPv4 address or IPv6 network of 64 bits; past it the new one is closed.
    ///
    /// Unix sockets and trusted proxies are not counted.
    package var connectionsPerAddress = 15_360
    /// For a whole head from its first byte, and for the handshake of TLS; past it 408.
    package var headTimeout = Duration.seconds(10)
    /// Before `bodyRate` is asked for.
    package var bodyGrace = Duration.seconds(10)
    /// Bytes a second that a body must come at on the whole; below it 408.
    package var bodyRate = 500
    /// Without a byte of a body that is waited for; past it 408.
    ///
    /// Of a live body it is `idleTimeout`.
    package var bodyTimeout = Duration.seconds(60)
    /// Between two requests; past it the connection is closed.
    package var idleTimeout = Duration.seconds(75)
    /// Without a byte taken by a client that is being written to; past it the connection is broken.
    package var writeTimeout = Duration.seconds(20)
    /// For a refused client to stop sending, so that it can read why: since the last bytes that came of it.
    package var lingerTimeout = Duration.seconds(2)
    /// The same in all.
    package var lingerTime = Duration.seconds(10)
    /// Bytes that such a client may go on to send.
    package var lingerBytes = 256 << 20
    /// Bytes of answers to pipelined requests that may wait to be sent before no more are taken up.
    package var pipelinedBytes = 64 << 10
    /// Bytes that each loop holds for its clients: answers that they have not taken, bodies that are
    /// still coming, coders of answers.
    ///
    /// Past it whoever has taken or sent nothing for longest is given up.
    package var heldBytes = 128 << 20
    /// Answers of each loop that are compressed at once; past it they leave as they are.
    package var coders = 32
    /// Streams at once of an HTTP/2 connection.
    package var streams = 256
    /// Bytes of an answer from which on it is compressed for a client that takes it so.
    package var compressionBytes = 1024
    /// Whether answers are compressed at all.
    package var compresses = true
    /// Certificate and key of the internet addresses; nil for none.
    ///
    /// Unix sockets are never encrypted.
    package var tls: TLSContext?
    /// Seconds for which browsers then ask the host for TLS alone, at each of its ports; 0 for not so.
    package var strictTransportSeconds = 0
    /// Proxies whose word on who sent a request is believed.
    package var trustedProxies: [AddressBlock] = []
    /// The field that they say it by.
    package var forwardedHeader = ForwardedHeader.xForwardedFor
    /// Takes one line a response; nil for no access log.
    package var accessLog: AccessLog?
    /// Takes a span of each request; nil for none.
    package var tracer: Tracer?
    /// Turns an error of the server itself into its answer.
    package var refusal: @Sendable (_ status: Int, _ detail: String) -> HTTPResponse
    /// Looks at a request before its body is read; nil lets it pass.
    package var authorize: (@Sendable (HTTPRequest) -> HTTPResponse?)?

    package init(refusal: @escaping @Sendable (Int, String) -> HTTPResponse) {
        self.refusal = refusal
    }
}
