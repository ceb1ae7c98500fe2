import HTTPWire

/// Answers a request; runs on the connection's loop and may suspend, but not block.
package typealias HTTPHandler = @Sendable (HTTPRequest) async -> HTTPResponse

/// A method and a path with places in braces: `/v1/jobs/{id}`.
package struct Route: Sendable {
    package let method: String
    package let path: String
    let segments: [Segment]
    let handler: HTTPHandler

    enum Segment: Sendable, Equatable {
        case literal(String)
        case place(String)
    }

    package init(_ method: String, _ path: String, _ handler: @escaping HTTPHandler) {
        self.method = method
        self.path = path
        self.handler = handler
        segments = path.split(separator: "/").map { part in
            part.hasPrefix("{")
                ? .place(String(part.dropFirst().dropLast())) : .literal(String(part))
        }
    }

    /// The values of the places; nil when the path is another one.
    func match(_ parts: [String]) -> [String: String]? {
        guard parts.count == segments.count else { return nil }
        var found: [String: String] = [:]
        for (segment, part) in zip(segments, parts) {
            switch segment {
            case .literal(let text):
                guard text == part else { return nil }
            case .place(let name): found[name] = part
            }
        }
        return found
    }
}

/// Finds the route of a request.
package struct Router: Sendable {
    package let routes: [Route]

    package init(_ routes: [Route]) { self.routes = routes }

    enum Finding {
        case handler(HTTPHandler, parameters: [String: String])
        /// The path is known, the method is not: those that are.
        case methods([String])
        case nothing
    }

    func find(_ head: RequestHead) -> Finding {
        guard head.path.hasPrefix("/") else { return .nothing }
        var parts: [String] = []
        for part in head.path.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            guard let decoded = PercentEncoding.decode(String(part)) else { return .nothing }
            parts.append(decoded)
        }
        if parts == [""] { parts = [] }
        // A literal segment goes before a place: `/v1/jobs/batch` is no job called "batch".
        let matches = routes.compactMap { route in
            route.match(parts).map { (route: route, parameters: $0) }
        }
        let fewest = matches.map(\.parameters.count).min()
        var methods: [String] = []
        for (route, parameters) in matches where parameters.count == fewest {
            if route.method == head.method || (route.method == "GET" && head.method == "HEAD") {
                return .handler(route.handler, parameters: parameters)
            }
            methods.append(route.method)
        }
        guard !methods.isEmpty else { return .nothing }
        return .methods(methods + (methods.contains("GET") ? ["HEAD"] : []) + ["OPTIONS"])
    }
}
