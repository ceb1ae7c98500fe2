package import HTTPWire

/// Answers a request; runs on the connection's loop and may suspend, but not block.
package typealias HTTPHandler = @Sendable (HTTPRequest) async -> HTTPResponse

/// Answers a request on the spot, or leaves it to the route's `HTTPHandler`, for which it has done
/// nothing yet, by giving nil.
package typealias HTTPQuickHandler = @Sendable (HTTPRequest) -> HTTPResponse?

/// A method and a path with places in braces: `/v1/jobs/{id}`.
package struct Route: Sendable {
    package let method: HTTPMethod
    package let path: String
    private let body: BodyMode
    /// Whether the body is a stream, of the request that the route was found for.
    private(set) var takesBodyAsStream: Bool
    /// Bytes of a body; nil for the server's own limit.
    private(set) var bodyBytes: Int?
    /// Whether the body may come as slowly as whatever makes it.
    private(set) var isLive = false
    /// Whether the handler gets a body at all.
    private(set) var readsBody = true
    /// Its place among the router's routes.
    fileprivate(set) var index = 0
    private(set) var isTraced = true
    let handler: HTTPHandler
    private(set) var quickHandler: HTTPQuickHandler?
    /// Answers a request that is not to be taken, by its head alone.
    private(set) var refusal: (@Sendable (RequestHead) -> HTTPResponse?)?

    /// The same with a handler that is asked first: what it answers needs no task.
    package func quickly(_ handler: @escaping HTTPQuickHandler) -> Route {
        var route = self
        route.quickHandler = handler
        return route
    }

    /// The same with one that is asked before any of the body is read: what it answers refuses the
    /// request, and nil takes it.
    package func refusing(
        _ refusal: @escaping @Sendable (RequestHead) -> HTTPResponse?,
    ) -> Route {
        var route = self
        route.refusal = refusal
        return route
    }

    /// The same without spans: of what is asked again and again by those who watch.
    package var untraced: Route {
        var route = self
        route.isTraced = false
        return route
    }

    /// Bytes of a body that nobody reads.
    private static let mostUnread = 64 << 10

    /// How a handler gets the body of a request.
    package enum BodyMode: Sendable {
        /// Not at all: a short one, which a client may send with any method, is read and dropped.
        case unread
        /// Whole, in memory, before the handler is called.
        case collected
        /// Piece by piece, while it comes: so many bytes at most.
        case streamed(upTo: Int)
        /// As a stream, and as slowly as whatever makes it, where the request's head says so; else
        /// collected.
        case live(upTo: Int, where: @Sendable (RequestHead) -> Bool)
    }

    package init(
        _ method: HTTPMethod, _ path: String, body: BodyMode = .unread,
        _ handler: @escaping HTTPHandler,
    ) {
        self.method = method
        self.path = path
        self.body = body
        self.handler = handler
        switch body {
        case .unread:
            (takesBodyAsStream, bodyBytes) = (false, Self.mostUnread)
            readsBody = false
        case .collected: (takesBodyAsStream, bodyBytes) = (false, nil)
        case .streamed(let most): (takesBodyAsStream, bodyBytes) = (true, most)
        case .live(let most, _): (takesBodyAsStream, bodyBytes) = (false, most)
        }
    }

    /// The route as it answers one request; nil if as any.
    fileprivate func taking(_ head: RequestHead) -> Route? {
        guard case .live(_, let isStream) = body else { return nil }
        var route = self
        route.isLive = isStream(head)
        route.takesBodyAsStream = route.isLive
        if !route.isLive { route.bodyBytes = nil }
        return route
    }
}

/// A route where the router ends; shared by the requests that it answers, which copy nothing of it.
final class Endpoint: Sendable {
    let route: Route
    /// The names of the places in its path.
    let places: [String]

    fileprivate init(_ route: Route, places: [String]) {
        self.route = route
        self.places = places
    }

    /// The endpoint as it answers one request.
    func taking(_ head: RequestHead) -> Endpoint {
        guard let taking = route.taking(head) else { return self }
        return Endpoint(taking, places: places)
    }
}

/// Finds the route of a request: a tree with a level for each segment of the path.
///
/// A literal segment goes before a place: `/v1/jobs/batch` is no job called "batch".
package struct Router: Sendable {
    package let routes: [Route]
    /// What can be done at one path or another, for `OPTIONS *`.
    let allowed: String
    private var nodes = [Node()]

    private struct Node: Sendable {
        var literals: [Literal] = []
        var place: Int?
        var endpoints: [Endpoint] = []
        /// For `Allow` (RFC 9110, section 10.2.1); empty when no route ends here.
        var allowed = ""
    }

    private struct Literal: Sendable {
        let name: [UInt8]
        let node: Int
    }

    package init(_ routes: [Route]) {
        self.routes = routes
        allowed = Self.allowed(routes.map(\.method))
        for (index, var route) in routes.enumerated() {
            route.index = index
            insert(route)
        }
    }

    private mutating func insert(_ route: Route) {
        var node = 0
        var places: [String] = []
        for segment in route.path.split(separator: "/") {
            if segment.hasPrefix("{") {
                places.append(String(segment.dropFirst().dropLast()))
                node = placeNode(below: node)
            } else {
                node = literalNode(Array(segment.utf8), below: node)
            }
        }
        precondition(places.count <= PathPlaces.most, "\(route.path) has too many places")
        nodes[node].endpoints.append(Endpoint(route, places: places))
        nodes[node].allowed = Self.allowed(nodes[node].endpoints.map(\.route.method))
    }

    private static func allowed(_ methods: [HTTPMethod]) -> String {
        var allowed: [HTTPMethod] = []
        for method in methods where !allowed.contains(method) {
            allowed.append(method)
            if method == .get { allowed.append(.head) }
        }
        return (allowed + [.options]).map(\.rawValue).joined(separator: ", ")
    }

    private mutating func placeNode(below node: Int) -> Int {
        if let known = nodes[node].place { return known }
        nodes.append(Node())
        nodes[node].place = nodes.count - 1
        return nodes.count - 1
    }

    private mutating func literalNode(_ name: [UInt8], below node: Int) -> Int {
        if let known = nodes[node].literals.first(where: { $0.name == name }) { return known.node }
        nodes.append(Node())
        nodes[node].literals.append(Literal(name: name, node: nodes.count - 1))
        return nodes.count - 1
    }

    // MARK: Finding

    enum Finding {
        case route(Endpoint)
        /// The path is known, the method is not: those that are.
        case methods(String)
        case nothing
        /// An escape of the path is malformed.
        case malformed
    }

    /// Finds who answers, and notes in `places`, which are empty before, what stands in its places.
    func find(_ head: RequestHead, _ places: inout PathPlaces) -> Finding {
        let path = head.pathRange
        let hasEscapes = head.hasEscapesInPath
        if hasEscapes {
            guard let decoded = PercentEncoding.decode(head.bytes[path]),
                String(validating: decoded, as: UTF8.self) != nil
            else { return .malformed }
        }
        let start = path.lowerBound + 1
        let isRoot = start == path.upperBound
        let search = head.bytes.span.extracting(..<path.upperBound)
        let found = isRoot ? 0 : walk(from: 0, at: start, search, hasEscapes, &places)
        guard let found, !nodes[found].endpoints.isEmpty else { return .nothing }
        // HEAD is GET without the content (RFC 9110, section 9.3.2).
        let method = head.method == .head ? .get : head.method
        for endpoint in nodes[found].endpoints where endpoint.route.method == method {
            return .route(endpoint)
        }
        return .methods(nodes[found].allowed)
    }

    /// The node of the path that goes on at `start`, a segment's first byte; nil when there is none.
    private func walk(
        from node: Int, at start: Int, _ path: Span<UInt8>, _ hasEscapes: Bool,
        _ places: inout PathPlaces,
    ) -> Int? {
        var end = start
        while end < path.count, path[end] != UInt8(ascii: "/") { end += 1 }
        let segment = path.extracting(start..<end)
        for index in nodes[node].literals.indices
        where matches(nodes[node].literals[index].name, segment, hasEscapes) {
            let next = nodes[node].literals[index].node
            if let found = follow(next, end, path, hasEscapes, &places) { return found }
        }
        guard let place = nodes[node].place, places.count < PathPlaces.most else {
            return nil
        }
        places.push(start..<end)
        if let found = follow(place, end, path, hasEscapes, &places) { return found }
        places.pop()
        return nil
    }

    private func follow(
        _ node: Int, _ end: Int, _ path: Span<UInt8>, _ hasEscapes: Bool,
        _ places: inout PathPlaces,
    ) -> Int? {
        if end == path.count { return nodes[node].endpoints.isEmpty ? nil : node }
        return walk(from: node, at: end + 1, path, hasEscapes, &places)
    }

    private func matches(_ name: [UInt8], _ segment: Span<UInt8>, _ hasEscapes: Bool) -> Bool {
        if hasEscapes {
            let octets = segment.withUnsafeBufferPointer { Array($0) }
            return PercentEncoding.decode(octets[...]) == name
        }
        guard name.count == segment.count else { return false }
        for index in name.indices where name[index] != segment[index] { return false }
        return true
    }
}
