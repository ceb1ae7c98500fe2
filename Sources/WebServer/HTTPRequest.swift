package import HTTPWire
package import Sockets
import Tracing

/// A request as a handler sees it.
package struct HTTPRequest: Sendable {
    package let head: RequestHead
    /// The whole body, for a route that collects it.
    var collected: CollectedBody?
    /// The body piece by piece, for a route that asked for it so.
    package internal(set) var bodyStream: HTTPBodyStream?
    /// Who sent it.
    package let client: HTTPClient
    let number: RequestNumber
    /// What answers; nil when nothing was found.
    var endpoint: Endpoint?
    var places = PathPlaces()
    /// When its head was complete.
    let start: LoopInstant
    /// Its place in a trace; nil when the server does not trace.
    let trace: TraceContext?

    init(
        head: consuming RequestHead, client: HTTPClient, number: RequestNumber, start: LoopInstant,
        tracer: Tracer?,
    ) {
        trace = tracer.map { $0.begin(below: head.field("traceparent").flatMap(TraceContext.init)) }
        self.head = head
        self.client = client
        self.number = number
        self.start = start
    }

    /// The whole body, read within its limit; empty when it was taken, and for a route that takes it as a
    /// stream or not at all.
    package var body: [UInt8] { collected?.octets ?? [] }

    /// Takes the whole body, of which no copy of the request holds anything then: it is in memory no
    /// longer than what is made of it.
    package func takeBody() -> [UInt8] { collected?.take() ?? [] }

    /// What stands in the route's places, decoded when asked for.
    package var parameters: PathParameters {
        PathParameters(names: endpoint?.places ?? [], path: head.bytes, places: places)
    }

    /// Which of the router's routes answers; nil when none does.
    var routeIndex: Int? { endpoint?.route.index }

    /// The address of who sent it: what a trusted proxy says, else the other end's.
    package var clientAddress: PeerAddress {
        guard !client.proxies.isEmpty else { return client.address }
        return ForwardedFields.client(
            of: head, behind: client.proxies, by: client.forwardedHeader) ?? client.address
    }

    /// Whether it was encrypted on its way, as far as a trusted proxy or the connection says.
    package var isSecure: Bool {
        guard !client.proxies.isEmpty else { return client.isSecure }
        return ForwardedFields.isSecure(head, by: client.forwardedHeader) ?? client.isSecure
    }

    /// What the request is called in logs and answers: the client's `X-Request-Id`, or one of ours.
    package var id: String { sentID ?? number.description }

    /// Lends the id's octets, without a string of it if it is ours.
    func withID(_ body: (UnsafeBufferPointer<UInt8>) -> Void) {
        guard var sent = sentID else {
            return number.digits.span.withUnsafeBufferPointer(body)
        }
        sent.withUTF8(body)
    }

    /// The client's own name for the request, if it is short and plain.
    var sentID: String? {
        guard let sent = head.field("x-request-id"), (1...128).contains(sent.utf8.count),
            sent.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "\"") })
        else { return nil }
        return sent
    }

    /// The trace that the request belongs to (W3C Trace Context): its own place in it if the server
    /// traces, else what the client sent; nil when that is none or malformed.
    package var traceparent: String? {
        if let trace { return trace.text }
        guard let sent = head.field("traceparent"), let trace = TraceContext(sent) else {
            return nil
        }
        // Of a later version only what this one knows goes on, as of this one.
        return sent.hasPrefix("00-") ? sent : trace.text
    }

    /// The first value of a query parameter, decoded; nil when it is not there.
    package func query(_ name: String) -> String? {
        guard !head.queryRange.isEmpty else { return nil }
        return queryItems.first { $0.name == name }?.value
    }

    package var queryItems: [(name: String, value: String)] {
        head.query.split(separator: "&").map { item in
            let parts = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let value = parts.count > 1 ? String(parts[1]) : ""
            func plain(_ text: String) -> String {
                PercentEncoding.decode(String(text.map { $0 == "+" ? " " : $0 })) ?? text
            }
            return (plain(String(parts[0])), plain(value))
        }
    }
}

/// Who is at the other end of a connection.
package final class HTTPClient: Sendable {
    package let address: PeerAddress
    /// Whether it came through a Unix socket, which no browser opens.
    package var isLocal: Bool { address == .unix }
    /// Whether the connection is encrypted.
    package let isSecure: Bool
    /// The proxies that are believed, if this is one of them.
    let proxies: [AddressBlock]
    /// What of theirs is believed.
    let forwardedHeader: ForwardedHeader

    init(
        address: PeerAddress, isSecure: Bool, proxies: [AddressBlock],
        forwardedHeader: ForwardedHeader = .xForwardedFor,
    ) {
        self.address = address
        self.isSecure = isSecure
        self.proxies = proxies
        self.forwardedHeader = forwardedHeader
    }

    /// The same, that was to speak TLS and did not.
    var unencrypted: HTTPClient {
        HTTPClient(
            address: address, isSecure: false, proxies: proxies, forwardedHeader: forwardedHeader)
    }
}

/// A body that has come, in one place for all copies of its request.
final class CollectedBody: @unchecked Sendable {
    // Unchecked: changed by the request's handler alone, which one task runs.
    private(set) var octets: [UInt8]

    init(_ octets: [UInt8]) { self.octets = octets }

    func take() -> [UInt8] {
        defer { octets = [] }
        return octets
    }
}

/// The body of a request while it comes; the client is not read from faster than this is.
package struct HTTPBodyStream: Sendable {
    let pull: @Sendable () async throws -> [UInt8]?
    let tell: @Sendable ([HTTPField]) async -> Void
    let keep: @Sendable (Int) async -> Void

    /// The next bytes, never none of them; nil at the end.
    ///
    /// To be called in the task of the handler, as all of it is.
    ///
    /// - Throws: when the client leaves, is too slow or breaks a rule; it is answered by the server.
    package func next() async throws -> [UInt8]? { try await pull() }

    /// Tells the client, which still sends, fields that the answer will have.
    ///
    /// They go as `103 Early Hints` (RFC 8297); by HTTP/1.1 to who says that it is the next hop
    /// itself, `Connection: Prefer`.
    package func hint(_ fields: [HTTPField]) async { await tell(fields) }

    /// Says how many bytes the handler holds of what has come, because it can do nothing with them before more
    /// comes: they count among what is held for clients.
    package func holds(_ bytes: Int) async { await keep(bytes) }
}
