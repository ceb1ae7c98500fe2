import HTTPWire
import Sockets

/// One client's HTTP/1.1: next request, handle, send; an error ends the connection, not the server.
///
///     ClientStream ──► ReceivedBytes ──► HTTP1Parser ──► HTTPService ──► HTTP1Writer ──► ClientStream
///
/// Answers to pipelined requests gather in the stream's output and leave together, when no whole
/// request is left of what came.
final class HTTP1Connection: @unchecked Sendable {
    // Unchecked: used in the connection's task alone, on its loop's thread.
    let stream: ClientStream
    let home: ServerLoop
    var input = ReceivedBytes()
    private var parser: HTTP1Parser
    private var isIdle = true
    private var isFirst = true

    init(_ stream: ClientStream) {
        self.stream = stream
        home = stream.home
        parser = HTTP1Parser(limits: home.service.headLimits)
    }

    /// The client speaks HTTP/2 from here on.
    private enum Switch: Error {
        case toHTTP2
        case toHTTP2Upgrading(RequestHead, settings: [UInt8])
    }

    enum End: Error {
        /// The client is gone, or the answer cannot be finished: nobody is left to be told.
        case quietly
    }

    /// Serves requests until the connection ends.
    func run() async {
        stream.onDrain = { [unowned self] in closeIfIdle() }
        do {
            if stream.socket.isSecure { try await shakeHands() }
            // RFC 9113, section 3.2: with TLS it is chosen in the handshake.
            if stream.socket.chosenProtocol == "h2" { throw Switch.toHTTP2 }
            while try await serveNext() {}
            try await stream.flush()
        } catch let refusal as HTTPRefusal {
            await refuse(refusal)
        } catch Switch.toHTTP2 {
            await HTTP2Connection(stream).run(first: input.takeAll())
        } catch Switch.toHTTP2Upgrading(let head, let settings) {
            await HTTP2Connection(stream).run(
                upgrading: head, settings: settings, first: input.takeAll())
        } catch {
            // The client is gone or silent; nobody is left to be told.
        }
    }

    private func shakeHands() async throws {
        stream.readDeadline = home.loop.now + home.headTime
        do {
            try await stream.socket.handshake()
        } catch {
            home.counters.add(.handshakeFailures)
            throw error
        }
        stream.readDeadline = .never
    }

    private func serveNext() async throws -> Bool {
        guard let head = try await nextHead() else { return false }
        if head.upgradesToHTTP2 { try await upgrade(head) }
        var request = home.request(head, stream.client)
        switch home.service.plan(&request) {
        case .answer(let response):
            // The body of a refused request is not read: the connection ends with the answer.
            let closing = head.body != .none || closes(after: head)
            try await send(response, to: request, closing: closing)
            if head.body != .none {
                try await stream.flush()
                await stream.linger()
            }
            return !closing
        case .handle(let route):
            let body =
                head.body == .none
                ? nil
                : HTTP1Body(
                    of: head, limit: home.service.bodyLimit(of: route), isLive: route.isLive,
                    on: self)
            let response = try await handle(&request, route, body)
            let closing = closes(after: head) || body?.isUnread == true
            try await send(response, to: request, closing: closing)
            if body?.isUnread == true {
                try await stream.flush()
                await stream.linger()
            }
            return !closing
        }
    }

    private func closes(after head: RequestHead) -> Bool { !head.keepsAlive || home.isDraining }

    /// Reads the body as the route wants it and calls the handler.
    private func handle(
        _ request: inout HTTPRequest, _ route: Route, _ body: HTTP1Body?,
    ) async throws -> HTTPResponse {
        if let body {
            if route.takesBodyAsStream {
                request.bodyStream = body.pieces
            } else {
                request.body = try await body.collect()
            }
        }
        stream.flushSoon()
        stream.isHandling = true
        let response = await home.service.answer(request, by: route)
        stream.isHandling = false
        // A body that broke a rule or off while the handler read it is treated as any such body.
        if let failure = body?.failure { throw failure }
        return response
    }

    // MARK: Heads

    /// The next request's head; nil when the client sends no more, or the server wants no more.
    private func nextHead() async throws -> RequestHead? {
        if !input.isEmpty, stream.unsentBytes < home.settings.pipelinedBytes,
            let head = try input.takeHead(&parser)
        {
            return head
        }
        try await stream.flush()
        if !input.isEmpty, let head = try input.takeHead(&parser) { return head }
        if home.isDraining, input.isEmpty { return nil }
        isIdle = input.isEmpty
        let now = home.loop.now
        stream.readDeadline = now + (isIdle ? home.idleTime : home.headTime)
        do {
            while true {
                let count = try await stream.receive()
                guard count > 0 else { return nil }
                let fresh = stream.received(count).span
                if try !isPreface(fresh), let head = try input.takeHead(&parser, adding: fresh) {
                    stream.readDeadline = .never
                    isIdle = false
                    return head
                }
                if isIdle {
                    isIdle = false
                    stream.readDeadline = home.loop.now + home.headTime
                }
            }
        } catch SocketError.timedOut {
            guard isIdle else {
                home.counters.add(.limitHeadTime)
                throw HTTPRefusal(408, "The request's head took too long.")
            }
            if !home.isDraining { home.counters.add(.limitIdleTime) }
            return nil
        }
    }

    /// Whether `fresh` goes on with what may become the preface of HTTP/2; keeps it then.
    ///
    /// Throws the switch when the preface is there (RFC 9113, section 3.3).
    private func isPreface(_ fresh: Span<UInt8>) throws(Switch) -> Bool {
        guard isFirst else { return false }
        switch input.matchPreface(adding: fresh) {
        case .none:
            isFirst = false
            return false
        case .beginning:
            input.keep(fresh)
            return true
        case .whole:
            input.keep(fresh)
            throw .toHTTP2
        }
    }

    /// Goes over to HTTP/2 as the request asks (RFC 7540, section 3.2), unless it has a body, which
    /// would have to be read first, or comes by TLS, where it is not done so.
    private func upgrade(_ head: RequestHead) async throws {
        guard head.body == .none, !stream.socket.isSecure, !home.isDraining,
            let settings = head.field("http2-settings").flatMap(Base64URL.decode),
            settings.count.isMultiple(of: 6)
        else { return }
        stream.output.append(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
        try await stream.flush()
        throw Switch.toHTTP2Upgrading(head, settings: settings)
    }

    /// Ends the connection if it waits for a request.
    private func closeIfIdle() {
        if isIdle { stream.socket.expireRead() }
    }

    // MARK: Answers

    private func send(
        _ response: HTTPResponse, to request: HTTPRequest, closing: Bool,
    ) async throws {
        let head = request.head
        home.answers.add(route: request.routeIndex, status: response.status)
        let isHead = head.method == .head
        writeHead(response, to: request, closing: closing)
        switch response.body {
        case .bytes(let bytes):
            let isSent = !isHead && HTTPStatus.hasContent(response.status)
            home.answered(request, status: response.status, bytes: isSent ? bytes.count : 0)
            guard isSent else { return }
            if bytes.count <= 16 << 10 {
                stream.output.bytes += bytes
            } else {
                try await stream.write(bytes[...])
            }
        case .content(let content):
            var sent = 0
            defer { home.answered(request, status: response.status, bytes: sent) }
            guard !isHead else { return }
            try await eachPiece(content.pieces) { piece in
                try await stream.write(piece)
                sent += piece.count
            }
        case .stream(let next):
            var sent = 0
            defer { home.answered(request, status: response.status, bytes: sent) }
            guard !isHead else { return }
            // The first piece may take its time; the client is to know at once what it will get.
            stream.flushSoon()
            try await send(next, isChunked: !head.isHTTP10, &sent)
        }
    }

    private func writeHead(_ response: HTTPResponse, to request: HTTPRequest, closing: Bool) {
        home.beginHead(response.status, type: response.type, &stream.output)
        home.security.write(for: response, stream.client, to: &stream.output)
        for (name, value) in response.fields { stream.output.field(name, value) }
        if let length = response.body.length {
            if HTTPStatus.hasContent(response.status) {
                stream.output.ownField("Content-Length: ", decimal: length)
            }
        } else if !request.head.isHTTP10 {
            // RFC 9112, section 6.1: not to HTTP/1.0, where the end of the connection ends the body.
            stream.output.ownField("Transfer-Encoding: ", "chunked")
        }
        stream.output.append("X-Request-Id: ")
        request.appendID(to: &stream.output.bytes)
        stream.output.append("\r\n")
        if closing {
            stream.output.ownField("Connection: ", "close")
        } else if request.head.isHTTP10 {
            stream.output.ownField("Connection: ", "keep-alive")
        }
        stream.output.endHead()
    }

    /// Sends a body piece by piece, asking for each when the client has taken the one before.
    private func send(
        _ next: @Sendable () async throws -> [UInt8]?, isChunked: Bool, _ sent: inout Int,
    ) async throws {
        try await eachPiece(next) { piece in
            if isChunked {
                stream.output.chunk(piece)
            } else {
                stream.output.bytes += piece
            }
            try await stream.flush()
            sent += piece.count
        }
        // Without chunks the end of the connection is the end of the body.
        guard isChunked else {
            try await stream.flush()
            throw End.quietly
        }
        stream.output.lastChunk()
    }

    /// Hands on one piece after the other, until the last or until the client has left: where there
    /// is something to send, the sending fails; a client that has closed its side may still read.
    private func eachPiece<Piece: Collection<UInt8>>(
        _ next: @Sendable () async throws -> Piece?, _ take: (Piece) async throws -> Void,
    ) async throws {
        stream.isHandling = true
        defer { stream.isHandling = false }
        while let piece = try await next() {
            if piece.isEmpty { try Task.checkCancellation() }
            try await take(piece)
        }
    }

    /// Says why the connection ends, so that the client can read it.
    private func refuse(_ refusal: HTTPRefusal) async {
        home.counters.add(.limit(refusal.status))
        let response = home.settings.refusal(refusal.status, refusal.detail)
        home.answers.add(route: nil, status: refusal.status)
        home.beginHead(response.status, type: response.type, &stream.output)
        home.security.write(for: response, stream.client, to: &stream.output)
        for (name, value) in response.fields { stream.output.field(name, value) }
        var content: [UInt8] = []
        if case .bytes(let bytes) = response.body { content = bytes }
        stream.output.ownField("Content-Length: ", decimal: content.count)
        stream.output.ownField("Connection: ", "close")
        stream.output.endHead()
        stream.output.bytes += content
        guard (try? await stream.flush()) != nil else { return }
        await stream.linger()
    }
}
