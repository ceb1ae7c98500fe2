import CNghttp2
import HTTPWire
import Sockets

/// One client's HTTP/2: frames in, a task for each request, frames out.
///
///     ClientStream ──► HTTP2Session ──► HTTP2Stream ──► HTTPService
///                 ◄── pump ◄───────────── fields, data ◄──┘
///
/// What handlers and frames bring about is sent once a round of the loop (`pumpSoon`), all together.
final class HTTP2Connection: @unchecked Sendable {
    // Unchecked: used on its loop's thread alone.
    let home: ServerLoop
    private let stream: ClientStream
    private let session = HTTP2Session()
    private var builder: HTTP2HeadBuilder
    private var block = HTTP2FieldBlock()
    private var streams: [Int32: HTTP2Stream] = [:]
    /// Requests that are complete and wait for a handler, oldest first.
    private var ready: [HTTP2Stream] = []
    /// Since when the client owes the rest of a frame or block, its first SETTINGS before all.
    private var frameStart: LoopInstant?
    private var highestID: Int32 = 0
    /// Streams that this side has reset, whose frames may still be on their way.
    private var recentlyReset: [Int32] = []
    private var isPumpPlanned = false
    /// Goes on sending while the client takes less than there is.
    private var writer: Task<Void, Never>?
    private var isEnding = false
    private var drainStart: LoopInstant?
    /// Bytes of bodies that have come and of answers that are not sent, of all streams.
    private var bodyBytes = 0
    var pendingBytes = 0

    /// Bytes of answers that the client has not taken, past which no more requests are taken up.
    private static let mostPending = 8 << 20
    /// Requests taken up at once on streams whose window the client keeps shut.
    private static let mostShut = 4

    init(_ stream: ClientStream) {
        self.stream = stream
        home = stream.home
        frameStart = home.loop.now
        builder = HTTP2HeadBuilder(limits: home.service.headLimits)
        session.open(
            events: self, streams: home.settings.streams,
            headBytes: home.settings.limits.headBytes)
    }

    /// Serves requests until the connection ends.
    ///
    /// - Parameter first: what the client has sent already.
    func run(first: [UInt8]) async {
        stream.onDrain = { [unowned self] in drain() }
        stream.onSweep = { [unowned self] now in sweep(now) }
        await read(first)
        // What the session has to say at last is said, and heard.
        await writer?.value
        if session.isOver, (try? await stream.flush()) != nil { await stream.linger() }
        isEnding = true
        stream.onDrain = nil
        stream.onSweep = nil
        stream.socket.close()
        for open in streams.values { open.close() }
        streams = [:]
    }

    private func read(_ first: [UInt8]) async {
        var goesOn = first.withUnsafeBufferPointer { session.receive($0) }
        startIdleClock()
        pump()
        do {
            while goesOn, !session.isOver, !isEnding {
                let count = try await stream.receive()
                guard count > 0 else { return stream.socket.close() }
                goesOn = session.receive(stream.received(count))
                pump()
            }
        } catch SocketError.timedOut where !isEnding {
            home.counters.add(.limitIdleTime)
            session.terminate(NGHTTP2_NO_ERROR)
        } catch {
            // The client is gone: nobody is left to be told.
        }
        if !goesOn { session.terminate(NGHTTP2_PROTOCOL_ERROR) }
        pump()
    }

    /// Serves a request that came by HTTP/1.1 and asked for HTTP/2, then what follows.
    func run(upgrading head: RequestHead, settings: [UInt8], first: [UInt8]) async {
        guard session.upgrade(settings: settings, isHead: head.method == .head) else { return }
        highestID = 1
        let open = HTTP2Stream(1, self)
        open.endBody()
        streams[1] = open
        begin(open, head)
        await run(first: first)
    }

    // MARK: Sending

    /// Sends what there is at the end of this round of the loop.
    func pumpSoon() {
        guard !isPumpPlanned else { return }
        isPumpPlanned = true
        home.loop.execute { self.pump() }
    }

    private func pump() {
        isPumpPlanned = false
        startReady()
        guard writer == nil else { return }
        do {
            while fillOutput() {
                guard try stream.flushNow() else { return writeOn() }
            }
        } catch {
            return end()
        }
        if session.isOver || (drainStart != nil && streams.isEmpty) { end() }
    }

    /// Takes frames from the session, but not without bound; whether there is anything to send.
    private func fillOutput() -> Bool {
        home.lend(to: &stream.output)
        while stream.unsentBytes < home.settings.pipelinedBytes {
            let bytes = session.nextOutput()
            if bytes.isEmpty { break }
            stream.output.bytes.append(contentsOf: bytes)
        }
        return stream.unsentBytes > 0
    }

    /// Goes on sending when the client takes more; frames wait in the session meanwhile.
    private func writeOn() {
        // A task of its own: the connection's waits for the client's frames.
        writer = Task(executorPreference: home.loop) { [self] in
            do {
                repeat {
                    try await stream.flush()
                } while fillOutput()
                writer = nil
                pump()
            } catch {
                writer = nil
                end()
            }
        }
    }

    /// Has the connection's task stop waiting for the client.
    private func end() {
        guard !isEnding else { return }
        isEnding = true
        stream.socket.expireRead()
    }

    // MARK: Requests

    private func begin(_ open: HTTP2Stream, _ head: RequestHead) {
        var request = home.request(head, stream.client)
        switch home.service.plan(&request) {
        case .answer(let response):
            open.request = request
            answer(response, on: open)
        case .handle(let endpoint):
            let route = endpoint.route
            open.request = request
            open.route = route
            if open.isBodyComplete || route.takesBodyAsStream {
                ready.append(open)
            }
            if head.expectation == .continue, !open.isBodyComplete {
                block.begin(100)
                session.submitInterim(block, open.id)
            }
        }
    }

    func hint(_ fields: [HTTPField], on open: HTTP2Stream) {
        block.begin(103)
        for (name, value) in fields { block.add(name, value) }
        session.submitInterim(block, open.id)
        pumpSoon()
    }

    private func refuse(_ refusal: HTTPRefusal, _ open: HTTP2Stream) {
        home.counters.add(.limit(refusal.status))
        answer(home.settings.refusal(refusal.status, refusal.detail), on: open)
    }

    /// Calls handlers, unless the client does not take the answers that are there.
    private func startReady() {
        guard !ready.isEmpty else { return }
        var waiting: [HTTP2Stream] = []
        var shut = 0
        for open in streams.values where open.task != nil || open.unsent > 0 {
            if !session.hasWindow(open.id) { shut += 1 }
        }
        for open in ready where !open.isClosed {
            let isShut = !session.hasWindow(open.id)
            guard pendingBytes < Self.mostPending, !isShut || shut < Self.mostShut else {
                waiting.append(open)
                continue
            }
            if isShut { shut += 1 }
            start(open)
        }
        ready = waiting
    }

    private func start(_ open: HTTP2Stream) {
        guard var request = open.request, let route = open.route else { return }
        if route.takesBodyAsStream {
            request.bodyStream = open.bodyStream
        } else {
            request.body = open.takeBody()
            bodyBytes -= request.body.count
        }
        open.request = request
        // A task for each request, cancelled when the client resets its stream.
        open.task = Task(executorPreference: home.loop) { [self] in
            let response = await home.service.answer(request, by: route)
            guard !open.isClosed else { return }
            if let failure = open.bodyFailure {
                refuse(failure, open)
                open.task = nil
                return
            }
            answer(response, on: open)
            await sendPieces(of: response, on: open)
            open.task = nil
        }
    }

    private func answer(_ response: HTTPResponse, on open: HTTP2Stream) {
        home.answers.add(route: open.request?.routeIndex, status: response.status)
        block.begin(response.status)
        if let type = response.type {
            block.own("content-type") { $0.append(contentsOf: type.utf8) }
        }
        home.security.add(home.security.needs(of: response, stream.client), to: &block)
        for (name, value) in response.fields { block.add(name, value) }
        let date = home.dateText
        block.own("date") { $0.append(contentsOf: date.utf8) }
        if let request = open.request {
            block.own("x-request-id", isIndexed: false) { request.appendID(to: &$0) }
        }
        let isHead = open.request?.head.method == .head
        open.status = response.status
        switch response.body {
        case .bytes(let bytes):
            if HTTPStatus.hasContent(response.status) {
                block.own("content-length") { $0.append(contentsOf: String(bytes.count).utf8) }
            }
            if isHead || bytes.isEmpty || !HTTPStatus.hasContent(response.status) {
                session.submit(block, open.id, body: nil)
            } else {
                pendingBytes += bytes.count
                open.offer(bytes, isLast: true)
                session.submit(block, open.id, body: open)
            }
        case .content(let content):
            block.own("content-length") { $0.append(contentsOf: String(content.count).utf8) }
            session.submit(block, open.id, body: isHead ? nil : open)
        case .stream:
            session.submit(block, open.id, body: isHead ? nil : open)
        }
        // RFC 9113, section 8.1: the rest of a request that is answered early is not wanted.
        if !open.isBodyComplete { abandonBody(of: open) }
        pumpSoon()
    }

    private func abandonBody(of open: HTTP2Stream) {
        let rest = open.takeBody()
        bodyBytes -= rest.count
        session.consume(rest.count, open.id)
    }

    private func sendPieces(of response: HTTPResponse, on open: HTTP2Stream) async {
        guard let next = response.body.pieces, open.request?.head.method != .head else { return }
        do {
            while let piece = try await next() {
                guard !open.isClosed else { return }
                guard !piece.isEmpty else { continue }
                pendingBytes += piece.count
                open.offer(piece, isLast: false)
                pumpSoon()
                try await open.untilTaken()
            }
            guard !open.isClosed else { return }
            open.offer([], isLast: true)
        } catch {
            // The client sees that the answer is not whole.
            if !open.isClosed { reset(open.id, NGHTTP2_INTERNAL_ERROR) }
        }
        pumpSoon()
    }

    func resume(_ open: HTTP2Stream) {
        session.resume(open.id)
        pumpSoon()
    }

    /// Lets the client send more, since a handler has taken what came.
    func consumed(_ count: Int, of open: HTTP2Stream) {
        bodyBytes -= count
        guard !open.isClosed else { return session.consumeConnection(count) }
        session.consume(count, open.id)
        pumpSoon()
    }

    private func reset(_ id: Int32, _ code: nghttp2_error_code) {
        recentlyReset.append(id)
        if recentlyReset.count > 256 { recentlyReset.removeFirst(128) }
        session.reset(id, code)
        pumpSoon()
    }

    // MARK: Time and end

    private func startIdleClock() {
        let isIdle = streams.isEmpty && drainStart == nil
        stream.readDeadline = isIdle ? home.loop.now + home.idleTime : .never
    }

    private func sweep(_ now: LoopInstant) {
        if let frameStart, frameStart + home.headTime <= now {
            self.frameStart = nil
            home.counters.add(.limitHeadTime)
            session.terminate(NGHTTP2_ENHANCE_YOUR_CALM)
            pumpSoon()
        }
        for open in streams.values {
            if let deadline = open.bodyDeadline(home.settings), deadline <= now, open.task == nil {
                open.endBody()
                home.counters.add(.limitBodyRate)
                answer(home.settings.refusal(408, "The request's body took too long."), on: open)
            }
            if open.route?.isLive == true, let since = open.waitsForBodySince,
                since + home.settings.idleTimeout <= now
            {
                home.counters.add(.limitBodyRate)
                open.failBody(HTTPRefusal(408, "The request's body took too long."))
            }
            if open.unsent > 0, let last = open.lastProgress,
                last + home.settings.writeTimeout <= now
            {
                home.counters.add(.limitWriteTime)
                reset(open.id, NGHTTP2_CANCEL)
            }
        }
        if stream.socket.isBroken { end() }
        if let drainStart, drainStart + .seconds(1) <= now {
            self.drainStart = .never
            session.refuseMore()
            pumpSoon()
        }
    }

    /// Tells the client to go elsewhere and ends when its requests are answered.
    private func drain() {
        guard drainStart == nil else { return }
        drainStart = home.loop.now
        if streams.isEmpty {
            session.refuseMore()
        } else {
            // Requests on their way are still taken for a second (RFC 9113, section 6.8).
            session.announceEnd()
        }
        pumpSoon()
    }
}

extension HTTP2Connection: HTTP2SessionEvents {
    func frameBegins(type: UInt8, stream id: Int32) -> UInt32? {
        // Data have a clock of their own.
        if UInt32(type) != NGHTTP2_DATA.rawValue, frameStart == nil { frameStart = home.loop.now }
        guard UInt32(type) == NGHTTP2_HEADERS.rawValue, id & 1 == 1 else { return nil }
        guard id < highestID, streams[id] == nil, !recentlyReset.contains(id) else { return nil }
        // RFC 9113, section 5.1.1: a new stream's number is higher than all before; nghttp2 would
        // pass over the frame.
        return NGHTTP2_PROTOCOL_ERROR.rawValue
    }

    func headBegins(_ id: Int32) {
        highestID = max(highestID, id)
        builder.begin()
        streams[id] = HTTP2Stream(id, self)
        stream.readDeadline = .never
    }

    func field(_ name: Span<UInt8>, _ value: Span<UInt8>) { builder.add(name, value) }

    func headIsComplete(_ id: Int32, endsStream: Bool) {
        guard let open = streams[id] else { return }
        if endsStream { open.endBody() }
        do throws(HTTPRefusal) {
            begin(open, try builder.head())
        } catch {
            refuse(error, open)
        }
    }

    func data(_ bytes: UnsafeBufferPointer<UInt8>, _ id: Int32) {
        guard let open = streams[id], let route = open.route, open.lastProgress == nil else {
            // Nobody will read it: answered already.
            return session.consume(bytes.count, id)
        }
        let limit = home.service.bodyLimit(of: route)
        let mostHeld = home.settings.limits.bodyBytes
        guard open.received + bytes.count <= limit, bodyBytes + bytes.count <= mostHeld else {
            session.consume(bytes.count, id)
            open.endBody()
            ready.removeAll { $0 === open }
            return refuse(
                HTTPRefusal(413, "The body is over \(min(limit, mostHeld)) bytes."), open)
        }
        bodyBytes += bytes.count
        open.add(bytes)
        // A body that is collected is taken as it comes; one that is streamed when the handler asks.
        if !route.takesBodyAsStream { session.consume(bytes.count, id) }
    }

    func bodyIsComplete(_ id: Int32) {
        guard let open = streams[id], !open.isBodyComplete else { return }
        open.endBody()
        if let route = open.route, !route.takesBodyAsStream { ready.append(open) }
    }

    func streamClosed(_ id: Int32) {
        guard let closed = streams.removeValue(forKey: id) else { return }
        let rest = closed.takeBody()
        bodyBytes -= rest.count
        if !rest.isEmpty, closed.route?.takesBodyAsStream == true {
            session.consumeConnection(rest.count)
        }
        if let request = closed.request {
            home.answered(request, status: closed.status, bytes: closed.sent)
        }
        closed.close()
        if streams.isEmpty { startIdleClock() }
    }

    func frameEnds() { frameStart = nil }

    func frameWasInvalid() { home.counters.add(.http2Errors) }
}
