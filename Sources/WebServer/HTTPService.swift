import HTTPWire

/// What a server answers, whatever version of HTTP a request comes by.
final class HTTPService: Sendable {
    let router: Router
    let settings: HTTPServerConfiguration
    let compression: Compression?
    /// What a request may be before its route is known.
    let headLimits: HTTPLimits

    init(router: Router, settings: HTTPServerConfiguration) {
        self.router = router
        self.settings = settings
        compression = settings.compresses ? Compression(smallest: settings.compressionBytes) : nil
        var limits = settings.limits
        limits.bodyBytes = router.routes.compactMap(\.bodyBytes).reduce(limits.bodyBytes, max)
        headLimits = limits
    }

    /// Ends what runs for the service alone.
    func stop() { compression?.stop() }

    enum Plan {
        /// The request is to be handed to a handler, its body with it.
        case handle(Endpoint)
        /// The answer is known before the body is looked at.
        case answer(HTTPResponse)
        /// The request breaks a rule.
        case refuse(HTTPRefusal)
    }

    /// Who answers the request, whose parameters it fills in.
    func plan(_ request: inout HTTPRequest) -> Plan {
        if let refused = settings.authorize?(request) { return .answer(refused) }
        if request.head.isForTLS, !request.isSecure, request.client.proxies.isEmpty,
            !request.client.isLocal
        {
            return .refuse(HTTPRefusal(421, "What https:// names is not served without TLS."))
        }
        if request.head.isAsterisk {
            return .answer(options(allowed: router.allowed))
        }
        switch router.find(request.head, &request.places) {
        case .route(let found):
            request.endpoint = found
            let endpoint = found.taking(request.head)
            if case .bytes(let count) = request.head.body, count > bodyLimit(of: endpoint.route) {
                return .refuse(.bodyTooLarge(bodyLimit(of: endpoint.route)))
            }
            if let refused = found.route.refusal?(request.head) { return .answer(refused) }
            return .handle(endpoint)
        case .methods(let allowed):
            return .answer(refusedMethod(request.head, allowed: allowed))
        case .nothing:
            return .answer(settings.refusal(404, "There is nothing at \(request.head.path)."))
        case .malformed:
            return .answer(settings.refusal(400, "The path has a malformed escape."))
        }
    }

    /// Bytes of a body that the route takes.
    func bodyLimit(of route: Route) -> Int { route.bodyBytes ?? settings.limits.bodyBytes }

    private func options(allowed: String) -> HTTPResponse {
        HTTPResponse(204, fields: [("Allow", allowed)], .bytes([]))
    }

    // RFC 9110, section 15.5.6; also of a method that nobody knows, since the path is known.
    private func refusedMethod(_ head: RequestHead, allowed: String) -> HTTPResponse {
        if head.method == .options { return options(allowed: allowed) }
        var response = settings.refusal(
            405, "The method \(head.methodText) is not allowed here.")
        response.fields.append(("Allow", allowed))
        return response
    }

    /// The answer of a handler that needs no waiting, as small and plain as it is; nil when the
    /// handler cannot answer so.
    func quickAnswer(_ request: HTTPRequest, by handler: HTTPQuickHandler?) -> HTTPResponse? {
        guard var response = handler?(request) else { return nil }
        condition(&response, for: request.head)
        return response
    }

    /// Whether nothing is left to be done with an answer but to copy it.
    func isPlain(_ response: HTTPResponse) -> Bool {
        guard case .bytes(let bytes) = response.body else { return false }
        return bytes.count <= HTTPResponse.mostCopied && compression?.concerns(response) != true
    }

    /// Compresses an answer if its client has asked for that.
    func finished(
        _ response: HTTPResponse, for head: RequestHead, on home: ServerLoop,
    ) async -> HTTPResponse {
        await compression?.applied(to: response, for: head, on: home) ?? response
    }

    /// Calls the handler; then does to its answer what the client has asked for.
    func answer(
        _ request: HTTPRequest, by route: Route, on home: ServerLoop,
    ) async -> HTTPResponse {
        var response = await route.handler(request)
        condition(&response, for: request.head)
        return await finished(response, for: request.head, on: home)
    }
}
