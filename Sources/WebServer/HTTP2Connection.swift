import CNghttp2
import HTTPWire
import Sockets

/// One client's HTTP/2: frames in, a task for each request that must wait for something, frames out.
///
///     ClientStream ──► HTTP2Session ──► HTTP2Stream ──► HTTPService
///                 ◄── pump ◄───────────── fields, data ◄──┘
///
/// What handlers and frames bring about is sent once a round of the loop (`pumpSoon`), all together.
final class HTTP2Connection: @unchecked Sendable {
    // Unchecked: used on its loop's thread alone.
    let home: ServerLoop
    let stream: ClientStream
    let session = HTTP2Session()
    var builder: HTTP2HeadBuilder
    var block = HTTP2FieldBlock()
    var streams: [Int32: HTTP2Stream] = [:]
    /// Requests that are complete and wait for a handler, oldest first.
    var ready: [HTTP2Stream] = []
    private var bounds = HTTP2FrameBounds()
    /// Since when the client owes the rest of a frame or block, its first SETTINGS before all.
    private var frameStart: LoopInstant?
    var highestID: Int32 = 0
    /// Streams that this side has reset, whose frames may still be on their way.
    var recentlyReset: [Int32] = []
    /// Frames since the last look at the clock that broke a rule of their stream.
    var mistakes = 0
    private var isPumpPlanned = false
    /// Goes on sending while the client takes less than there is.
    private var writer: Task<Void, Never>?
    private var isEnding = false
    private var isReceiving = false
    /// Whether it was the client that ended the connection.
    private var hasLeft = false
    /// Whether the streams are gone, of which the session still holds pointers.
    private var isOver = false
    private var drainStart: LoopInstant?
    /// Bytes of bodies that have come and of answers that are not sent, of all streams.
    var bodyBytes = 0 { didSet { home.hold(bodyBytes - oldValue) } }
    var pendingBytes = 0 { didSet { home.hold(pendingBytes - oldValue) } }
    /// Of the heads of open streams.
    var headBytes = 0
    /// When the client last took something of an answer.
    var lastTaken = LoopInstant(nanoseconds: 0)

    /// Bytes of answers that the client has not taken, past which no more requests are taken up.
    private static let mostPending = 8 << 20
    /// Mistakes between two looks at the clock, past which the client is sent away.
    static let mostMistakes = 256
    /// Frames that wait to be sent, past which the client is sent away: it makes more of them than it takes.
    private static let mostFrames = 8192
    /// Octets of the heads of open streams, past which no more are opened: by compression a few on the wire may
    /// stand for many.
    static let mostHeadBytes = 512 << 10
    /// Requests taken up at once on streams whose window the client keeps shut, small ones not counted.
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
        stream.streamHolders = { [unowned self] body in
            for open in streams.values { body(open) }
        }
        stream.onBreakOff = { [unowned self] in
            for open in streams.values { open.close() }
        }
        stream.onFarewell = { [unowned self] in
            session.refuseMore()
            // What does not fit now is lost with the connection.
            if fillOutput() { _ = try? stream.flushNow() }
        }
        if home.isDraining { drain() }
        await read(first)
        // What the session has to say at last is said, and heard.
        while let writer { await writer.value }
        // If it cannot be sent, nobody is there to hear it.
        if session.isOver, (try? await stream.flush()) != nil { await stream.linger() }
        isEnding = true
        stream.onDrain = nil
        stream.onSweep = nil
        stream.streamHolders = nil
        stream.onBreakOff = nil
        stream.onFarewell = nil
        stream.socket.close()
        isOver = true
        if hasLeft { home.counters.add(.hangUps, streams.count) }
        for open in streams.values {
            note(open)
            open.close()
        }
        // They hold the connection.
        streams = [:]
        ready = []
    }

    /// Readings of one client after which others have their turn: it may never stop sending.
    private static let turn = 16

    private func read(_ first: [UInt8]) async {
        var failure = first.withUnsafeBufferPointer { take($0) }
        startIdleClock()
        pump()
        do {
            var readings = 0
            while failure == nil, !session.isOver, !isEnding {
                let count = try await receive()
                guard count > 0 else {
                    hasLeft = true
                    return stream.socket.close()
                }
                failure = take(stream.received(count))
                pump()
                readings += 1
                if readings.isMultiple(of: Self.turn) { await Task.yield() }
            }
        } catch SocketError.timedOut where !isEnding {
            home.counters.add(.limitIdleTime)
            session.terminate(NGHTTP2_NO_ERROR)
        } catch {
            // The client is gone, nobody is left to be told; or all is said.
            if !isEnding { hasLeft = true }
        }
        if let failure { session.terminate(failure) }
        pump()
    }

    private func receive() async throws(SocketError) -> Int {
        isReceiving = true
        defer { isReceiving = false }
        return try await stream.receive()
    }

    /// Reads what the client has sent; the reason when the session cannot go on.
    private func take(_ bytes: UnsafeBufferPointer<UInt8>) -> nghttp2_error_code? {
        let before = bounds.whole
        bounds.follow(bytes.span)
        if !bounds.isRestOwed {
            frameStart = nil
        } else if frameStart == nil || bounds.whole != before {
            frameStart = home.loop.now
        }
        defer { home.relieve() }
        if let failure = session.receive(bytes) { return failure }
        // Who reads nothing is owed no acknowledgements and resets without end.
        if session.waitingFrames > Self.mostFrames { session.terminate(NGHTTP2_ENHANCE_YOUR_CALM) }
        return nil
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
        guard !isOver else { return }
        startReady()
        // Not before: what is answered at once goes out here.
        isPumpPlanned = false
        guard writer == nil else { return }
        do throws(SocketError) {
            while fillOutput() {
                guard try stream.flushNow() else { return writeOn() }
                // The client has taken what kept them waiting.
                if !ready.isEmpty { pumpSoon() }
            }
        } catch {
            return failed(error)
        }
        if session.isOver { end() }
    }

    /// Takes frames from the session, but not without bound; whether there is anything to send.
    private func fillOutput() -> Bool {
        home.lend(to: &stream.output.bytes)
        while stream.unsentBytes < home.settings.pipelinedBytes {
            let bytes = session.nextOutput()
            if bytes.isEmpty { break }
            stream.output.bytes.append(bytes)
        }
        return stream.unsentBytes > 0
    }

    /// Goes on sending when the client takes more; frames wait in the session meanwhile.
    private func writeOn() {
        home.relieve()
        // A task of its own: the connection's waits for the client's frames.
        writer = Task(executorPreference: home.loop) { [self] in
            do throws(SocketError) {
                repeat {
                    try await stream.flush()
                } while fillOutput()
                writer = nil
                pump()
            } catch {
                writer = nil
                failed(error)
            }
        }
    }

    /// Ends since nothing can be sent: to one that has left, or that takes nothing.
    private func failed(_ error: SocketError) {
        if error != .timedOut { hasLeft = true }
        end()
    }

    /// Has the connection's task stop waiting for the client.
    private func end() {
        guard !isEnding else { return }
        isEnding = true
        if isReceiving { stream.socket.expireRead() }
    }

    // MARK: Requests

    func begin(_ open: HTTP2Stream, _ head: RequestHead) {
        var request = home.request(head, stream.client)
        switch home.service.plan(&request) {
        case .answer(let response):
            open.request = request
            answer(response, on: open)
        case .refuse(let refusal):
            open.request = request
            refuse(refusal, open)
        case .handle(let endpoint):
            let route = endpoint.route
            open.request = request
            open.route = route
            open.expectBody(by: route)
            if open.isBodyComplete || route.takesBodyAsStream {
                ready.append(open)
            }
            if head.expectation == .continue, !open.isBodyComplete {
                block.begin(100)
                session.submitInterim(block, open.id)
            }
        }
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
            guard pendingBytes < Self.mostPending, !isShut || open.isSmall || shut < Self.mostShut
            else {
                waiting.append(open)
                continue
            }
            if isShut, !open.isSmall { shut += 1 }
            start(open)
        }
        ready = waiting
    }

    private func start(_ open: HTTP2Stream) {
        guard var request = open.request, let route = open.route else { return }
        if route.takesBodyAsStream {
            request.bodyStream = open.bodyStream
        } else {
            let body = open.takeBody()
            if route.readsBody { request.collected = CollectedBody(body) }
        }
        // The stream does not keep it: a body that is read from the stream holds that.
        let quick = home.service.quickAnswer(request, by: route.quickHandler)
        if let quick, home.service.isPlain(quick) { return answer(quick, on: open) }
        // A task for each other request, cancelled when the client resets its stream.
        open.task = Task(executorPreference: home.loop) { [self] in
            let response =
                if let quick {
                    await home.service.finished(quick, for: request.head, on: home)
                } else {
                    await home.service.answer(request, by: route, on: home)
                }
            guard !open.isClosed else { return }
            if let failure = open.bodyFailure {
                refuse(failure, open)
                open.task = nil
                return
            }
            open.letGoOfBody()
            answer(response, on: open)
            home.relieve()
            await sendPieces(of: response, on: open)
            open.task = nil
        }
    }

    // MARK: Time and end

    func startIdleClock() {
        if streams.isEmpty { builder.letGo() }
        if streams.isEmpty, drainStart == nil {
            stream.awaitRequest(until: home.loop.now + home.idleTime)
        } else {
            stream.readDeadline = .never
        }
    }

    private func sweep(_ now: LoopInstant) {
        mistakes = 0
        if let frameStart, frameStart + home.headTime <= now {
            self.frameStart = nil
            home.counters.add(.limitHeadTime)
            session.terminate(NGHTTP2_ENHANCE_YOUR_CALM)
            pumpSoon()
        }
        for open in streams.values where !open.isClosed {
            // RFC 9113, section 5.2: what others of its streams have sent may be in the way.
            if session.isWindowShut { open.forgiveWait(now) }
            if let bound = open.bodyBound(home.settings), bound.deadline <= now {
                home.counters.add(bound.counter)
                refuseBody(.bodyTooSlow, of: open)
            }
            // While others have their turn on the connection, it is not the client that keeps it waiting.
            if open.unsent > 0, let last = open.lastProgress,
                last + home.settings.writeTimeout <= now,
                !session.hasWindow(open.id) || lastTaken + home.settings.writeTimeout <= now
            {
                home.counters.add(.limitWriteTime)
                breakOff(open)
            }
        }
        if stream.socket.isBroken, !isEnding {
            hasLeft = true
            end()
        }
        if let drainStart, drainStart + ServerLoop.lastRequestTime <= now {
            refuseMore()
        }
    }

    /// Tells the client to go elsewhere and ends when its requests are answered.
    private func drain() {
        guard drainStart == nil else { return }
        drainStart = home.loop.now
        // One that has asked before and waits for nothing has hardly another request on its way.
        guard highestID == 0 || !streams.isEmpty else { return refuseMore() }
        // Those on their way are still taken for a second (RFC 9113, section 6.8).
        session.announceEnd()
        pumpSoon()
    }

    /// Says which request was the last; when that is answered, and the client has heard so, it is over.
    private func refuseMore() {
        drainStart = .never
        session.refuseMore()
        pumpSoon()
    }
}
