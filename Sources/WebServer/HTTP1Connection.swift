import HTTPWire
import Sockets

/// One client's HTTP/1.1: next request, handle, send; an error ends the connection, not the server.
///
///     ClientStream ──► ReceivedBytes ──► HTTP1Parser ──► HTTPService ──► HTTP1Writer ──► ClientStream
///
/// `proceed` is called by the loop when something has come and serves what it can without waiting.
/// Only where something must be waited for (a handler, a body, a client that takes its time) a task
/// is made, which ends with that: a connection that waits for its client has none.
/// Answers to pipelined requests gather in the stream's output and leave together, when no whole
/// request is left of what came.
final class HTTP1Connection: @unchecked Sendable {
    // Unchecked: used on its loop's thread alone.
    let stream: ClientStream
    let home: ServerLoop
    var input = ReceivedBytes()
    private var parser: HTTP1Parser
    private var awaited = Awaited.nothing
    /// Whether a task is at work, which goes on by itself.
    private var isBusy = false
    /// Until what came first has been seen not to be the preface of HTTP/2.
    private var isFirst = true

    /// What the client owes, which decides by when.
    private enum Awaited { case nothing, request, restOfHead }

    init(_ stream: ClientStream) {
        self.stream = stream
        home = stream.home
        parser = HTTP1Parser(limits: home.service.headLimits)
    }

    enum End: Error {
        /// The client is gone, or the answer cannot be finished: nobody is left to be told.
        case quietly
    }

    /// Begins to serve, until the connection ends.
    func begin() {
        // The stream keeps the connection by this, until it is closed.
        stream.socket.onReadable = { [self] in proceed() }
        stream.onDrain = { [unowned self] in
            guard awaited == .request else { return }
            // The first request of a connection is on its way, and could not be sent once more.
            guard isFirst else { return proceed() }
            stream.readDeadline = home.loop.now + ServerLoop.lastRequestTime
        }
        if stream.socket.isSecure { return inTask { [self] in try await shakeHands() } }
        // Most have sent their request by now: a connection of one request is over at once.
        proceed()
    }

    // MARK: The loop

    /// Requests of one client that are served before others have their turn.
    private static let turn = 100

    /// Serves what has come, as far as nothing must be waited for.
    private func proceed() {
        guard !isBusy else { return }
        do {
            for _ in 0..<Self.turn {
                switch try next() {
                case .request(let head): guard try serve(head) else { return }
                case .nothing: return awaitMore()
                case .http2: return inTask { [self] in await speakHTTP2() }
                case .unsent: return inTask { [self] in try await sendRest() }
                case .leave: return leave()
                case .end: return home.ended(stream)
                }
            }
            // It may never stop sending.
            isBusy = true
            home.loop.execute { [self] in
                isBusy = false
                proceed()
            }
        } catch let refusal as HTTPRefusal {
            inTask { throw refusal }
        } catch {
            // The client is gone; nobody is left to be told.
            home.ended(stream)
        }
    }

    /// Goes on in a task: when `work` returns true, with what has come meanwhile.
    func inTask(_ work: @escaping @Sendable () async throws -> Bool) {
        isBusy = true
        awaited = .nothing
        stream.readDeadline = .never
        // To learn that the client has left; where it cannot be, the next read says so.
        try? stream.socket.watch()
        // A task of its own: it lives as long as what is waited for, not as this call.
        stream.task = Task(executorPreference: home.loop) { [self] in
            var goesOn = false
            do {
                goesOn = try await work()
            } catch let refusal as HTTPRefusal {
                await refuse(refusal)
            } catch {
                // The client is gone or silent; nobody is left to be told.
            }
            stream.task = nil
            isBusy = false
            if goesOn { proceed() } else { home.ended(stream) }
        }
    }

    /// Ends a connection whose client has not been told that nothing more is wanted.
    ///
    /// It may send another request while answers are still on their way to it, which would be lost.
    private func leave() {
        guard stream.socket.untakenBytes > 0 else { return home.ended(stream) }
        inTask { [self] in try await lingered() }
    }

    private func sendRest() async throws -> Bool {
        try await stream.flush()
        return true
    }

    private func shakeHands() async throws -> Bool {
        stream.readDeadline = home.loop.now + home.headTime
        do {
            try await stream.socket.handshake()
        } catch {
            home.counters.add(.handshakeFailures)
            if error == .unencrypted {
                stream.readDeadline = .never
                stream.client = stream.client.unencrypted
                throw HTTPRefusal(400, "This is HTTP, and here TLS is spoken: ask for https://.")
            }
            // It may have sent a request already, as one with a certificate of TLS 1.3 that is not
            // wanted, and is to be told why it gets no answer.
            if error == .closed { await stream.linger() }
            throw error
        }
        stream.readDeadline = .never
        // RFC 9113, section 3.2: with TLS it is chosen in the handshake.
        return stream.socket.chosenProtocol == "h2" ? await speakHTTP2() : true
    }

    // MARK: Requests

    /// Serves a request; true when that is done and another may follow, else a task has gone on, or
    /// the connection is over.
    private func serve(_ head: consuming RequestHead) throws -> Bool {
        if let settings = settingsOfUpgrade(head) {
            let head = head
            inTask { [self] in try await upgrade(head, settings) }
            return false
        }
        var request = home.request(head, stream.client)
        switch home.service.plan(&request) {
        case .answer(let response) where request.head.body == .none:
            return try answer(request, response, closing: closes(after: request.head))
        case .answer(let response):
            // The body of a refused request is not read: the connection ends with the answer.
            inTask { [self, request] in
                try await send(response, to: request, closing: true)
                return try await lingered()
            }
            return false
        case .refuse(let refusal):
            inTask { [self, request] in
                await refuse(refusal, of: request)
                return false
            }
            return false
        case .handle(let endpoint):
            let isWhole = takeBody(of: &request, for: endpoint)
            let quick = isWhole ? endpoint.route.quickHandler : nil
            if let response = home.service.quickAnswer(request, by: quick) {
                return try answer(request, response, closing: closes(after: request.head))
            }
            inTask { [self, request] in
                do {
                    return try await handle(request, endpoint.route, isWhole: isWhole)
                } catch let refusal as HTTPRefusal {
                    await refuse(refusal, of: request)
                    return false
                }
            }
            return false
        }
    }

    private func closes(after head: RequestHead) -> Bool { !head.keepsAlive || home.isDraining }

    /// Puts the body into the request if it is to be collected and has come with the head, or there
    /// is none.
    private func takeBody(of request: inout HTTPRequest, for endpoint: Endpoint) -> Bool {
        switch request.head.body {
        case .none: return true
        case .bytes(let count) where count <= input.count && !endpoint.route.takesBodyAsStream:
            let body = input.take(count)
            if endpoint.route.readsBody { request.collected = CollectedBody(body) }
            return true
        case .bytes, .chunked: return false
        }
    }

    /// Reads the body as the route wants it, unless it has come whole, calls the handler and sends
    /// its answer; whether another request may follow.
    private func handle(_ request: HTTPRequest, _ route: Route, isWhole: Bool) async throws -> Bool
    {
        var request = request
        let body =
            isWhole
            ? nil
            : HTTP1Body(
                of: request.head, limit: home.service.bodyLimit(of: route), isLive: route.isLive,
                on: self)
        if let body {
            if route.takesBodyAsStream {
                request.bodyStream = body.pieces
            } else {
                let octets = try await body.collect()
                if route.readsBody { request.collected = CollectedBody(octets) }
            }
        }
        stream.flushSoon()
        stream.isHandling = true
        let response = await home.service.answer(request, by: route, on: home)
        stream.isHandling = false
        stream.hold(0, as: \.body)
        // A body that broke a rule or off while the handler read it is treated as any such body.
        if let failure = body?.failure { throw failure }
        let isUnread = body?.isUnread == true
        let closing =
            closes(after: request.head) || isUnread || endsConnection(response, to: request)
        try await send(response, to: request, closing: closing)
        if isUnread { return try await lingered() }
        return try await closing ? left() : true
    }

    /// Whether closing could make the kernel reset the connection, and the client lose the answer
    /// (RFC 9112, section 9.6): more has come than was read, perhaps, or, at the stop, of which the
    /// client learns with the answer, it may still come.
    var mustLinger: Bool {
        !input.isEmpty || stream.socket.mayHaveMore
            || home.isDraining && stream.socket.untakenBytes > 0
    }

    /// Ends the connection behind an answer.
    func left() async throws -> Bool {
        try await stream.flush()
        return mustLinger ? try await lingered() : false
    }

    /// Ends the connection so that a client that still sends can read the answer.
    private func lingered() async throws -> Bool {
        try await stream.flush()
        await stream.linger()
        return false
    }

    // MARK: Heads

    /// What is to be done next.
    private enum Next {
        case request(RequestHead)
        /// The client speaks HTTP/2 from here on.
        case http2
        /// The client is to take what there is for it first.
        case unsent
        /// Nothing whole has come yet.
        case nothing
        /// The server wants no more.
        case leave
        /// The client sends no more.
        case end
    }

    private func next() throws -> Next {
        if stream.unsentBytes < home.settings.pipelinedBytes, let head = try keptHead() {
            return .request(head)
        }
        let isFull = stream.unsentBytes >= home.settings.pipelinedBytes
        guard try stream.flushNow() else {
            if isFull, !input.isEmpty { home.counters.add(.limitPipelinedBytes) }
            return .unsent
        }
        if let head = try keptHead() { return .request(head) }
        // At the stop, a request that has come is the last to be answered.
        if home.isDraining, !isFirst { stream.socket.lookAgain() }
        do {
            while let count = try stream.receiveNow() {
                guard count > 0 else { return .end }
                let fresh = stream.received(count).span
                switch preface(fresh) {
                case .whole: return .http2
                case .beginning: continue
                case .none: break
                }
                if let head = try input.takeHead(&parser, adding: fresh) {
                    awaited = .nothing
                    stream.readDeadline = .never
                    return .request(head)
                }
            }
            return home.isDraining && input.isBeforeRequest && !isFirst ? .leave : .nothing
        } catch SocketError.timedOut {
            guard awaited == .request else {
                home.counters.add(.limitHeadTime)
                throw HTTPRefusal(408, "The request's head took too long.")
            }
            if !home.isDraining { home.counters.add(.limitIdleTime) }
            return .leave
        }
    }

    /// A head from what is kept; what may become the preface of HTTP/2 is none.
    private func keptHead() throws(HTTPRefusal) -> RequestHead? {
        input.isEmpty || isFirst ? nil : try input.takeHead(&parser)
    }

    /// Waits for the client: for a request or, from its first byte, for its whole head.
    private func awaitMore() {
        let next = input.isBeforeRequest ? Awaited.request : .restOfHead
        guard awaited != next else { return }
        awaited = next
        // Of one that has begun while the server drains, a request may be on its way.
        let idleTime = home.isDraining ? ServerLoop.lastRequestTime : home.idleTime
        if next == .request {
            stream.awaitRequest(until: home.loop.now + idleTime)
        } else {
            stream.readDeadline = home.loop.now + home.headTime
        }
    }

    // MARK: HTTP/2

    /// Whether `fresh` goes on with what may become the preface of HTTP/2 (RFC 9113, section 3.3);
    /// keeps it then.
    private func preface(_ fresh: Span<UInt8>) -> HTTP2Preface.Match {
        guard isFirst else { return .none }
        let match = input.matchPreface(adding: fresh)
        if match == .none { isFirst = false } else { input.keep(fresh) }
        return match
    }

    private func speakHTTP2() async -> Bool {
        await HTTP2Connection(stream).run(first: input.takeAll())
        return false
    }

    /// The settings with which the request asks for HTTP/2 (RFC 7540, section 3.2); nil when it does
    /// not, has a body, which would have to be read first, or comes by TLS, where it is not done so.
    ///
    /// Nor behind a trusted proxy, which would pass the 101 on and become a tunnel: its client could then
    /// write the `Forwarded` fields that are believed. RFC 9113, section 3.1 has dropped the upgrade;
    /// curl's `--http2` and Java's HttpClient still begin so.
    private func settingsOfUpgrade(_ head: RequestHead) -> [UInt8]? {
        guard head.upgradesToHTTP2, head.body == .none, !stream.socket.isSecure, !home.isDraining,
            stream.client.proxies.isEmpty,
            let settings = head.field("http2-settings").flatMap(Base64URL.decode),
            settings.count.isMultiple(of: 6)
        else { return nil }
        return settings
    }

    private func upgrade(_ head: RequestHead, _ settings: [UInt8]) async throws -> Bool {
        stream.output.append(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
        try await stream.flush()
        await HTTP2Connection(stream).run(
            upgrading: head, settings: settings, first: input.takeAll())
        return false
    }
}
