import Glibc
import HTTPWire
import Sockets
import Tracing

/// One event loop's share of a server: its connections and what they have in common.
///
/// Belongs to that loop's thread, apart from `counters`; nothing on a request's path is shared
/// between loops.
final class ServerLoop: @unchecked Sendable {
    // Unchecked: used on the thread of `loop` alone.
    let loop: EventLoop
    let settings: HTTPServerConfiguration
    let idleTime: LoopTime
    let headTime: LoopTime
    let service: HTTPService
    let security: SecurityFields
    let counters = LoopCounters()
    let answers: AnswerCounters
    let durations: RouteDurations
    let ledger: ConnectionLedger
    let coders: LiveCoders
    /// Room for one read; what it holds is used or copied before the reader suspends.
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 64)
    private(set) var isDraining = false
    private var clients: [ClientStream] = []
    private var isSweeping = false
    /// Whether `relieve` is at work, and when it is to look again.
    var isRelieving = false
    /// Whether the last look found nobody to be given up.
    var isInVain = false
    var nextLook = LoopInstant(nanoseconds: 0)
    private var requestNumber = RequestNumber.random()
    private var heads = PreparedHeads()
    private var room = OctetBuffer()
    private var loopSecond = Int64.min
    private var calendarSecond = 0
    private var doors: [LoopListener] = []

    init(
        loop: EventLoop, service: HTTPService, ledger: ConnectionLedger,
    ) {
        self.loop = loop
        self.service = service
        settings = service.settings
        security = SecurityFields(strictTransportSeconds: settings.strictTransportSeconds)
        answers = AnswerCounters(routes: service.router.routes.count)
        durations = RouteDurations(routes: service.router.routes.count)
        idleTime = LoopTime(settings.idleTimeout)
        headTime = LoopTime(settings.headTimeout)
        self.ledger = ledger
        coders = LiveCoders(limit: settings.coders)
    }

    deinit { scratch.deallocate() }

    /// How long a request that is on its way at the stop is still taken.
    static let lastRequestTime = LoopTime(.seconds(1))

    // MARK: Connections

    func open(_ listeners: [LoopListener]) {
        doors = listeners
        for door in doors { door.open() }
    }

    func serve(_ stream: ClientStream) {
        stream.index = clients.count
        clients.append(stream)
        counters.add(.connectionsAccepted)
        if !isSweeping {
            isSweeping = true
            sweepLater()
        }
        HTTP1Connection(stream).begin()
    }

    /// Takes leave of a client, whom nobody serves any more.
    func ended(_ stream: ClientStream) {
        stream.close()
        let last = clients.removeLast()
        if last !== stream {
            clients[stream.index] = last
            last.index = stream.index
        }
        ledger.release(stream.countedAddress)
        for door in doors where door.isPaused { door.resume() }
    }

    /// Calls `body` with all for whom memory may be held.
    func forEachHolder(_ body: (any MemoryHolder) -> Void) {
        for stream in clients {
            body(stream)
            stream.streamHolders?(body)
        }
    }

    /// Idle connections closed at once to make room, at most: an eighth of them, as nginx does, and one at
    /// least.
    private static let mostClosed = 16
    /// How long a connection is idle before that: sooner, its first request may be on its way.
    private static let safeIdleTime = Duration.seconds(1)

    /// Closes some of the connections that have waited longest for a request, so that others find room.
    ///
    /// - Returns: whether there were any.
    @discardableResult
    func makeRoom() -> Bool {
        var longest: [ClientStream] = []
        // All have the same time to be idle: whoever's ends first has been so for longest.
        let latest = loop.now + (settings.idleTimeout - Self.safeIdleTime)
        var count = 0
        for stream in clients where stream.isIdle && stream.readDeadline <= latest {
            // To HTTP/2 an answer is over when its last frame waits to be sent.
            guard stream.unsentBytes == 0 else { continue }
            count += 1
            if let last = longest.last, longest.count == Self.mostClosed,
                last.readDeadline <= stream.readDeadline
            {
                continue
            }
            let place = longest.firstIndex { $0.readDeadline > stream.readDeadline }
            longest.insert(stream, at: place ?? longest.endIndex)
            if longest.count > Self.mostClosed { longest.removeLast() }
        }
        for stream in longest.prefix(max(1, count / 8)) {
            counters.add(.idleForRoom)
            stream.readDeadline = .never
            stream.onFarewell?()
            stream.socket.close()
        }
        return !longest.isEmpty
    }

    /// Looks at all deadlines; often enough for the shortest of them.
    private func sweepLater() {
        let shortest = min(
            settings.headTimeout, settings.idleTimeout, settings.writeTimeout, settings.bodyGrace,
            settings.bodyTimeout, settings.lingerTimeout)
        loop.schedule(after: min(.milliseconds(500), max(.milliseconds(10), shortest / 4))) {
            let now = self.loop.now
            for stream in self.clients { stream.sweep(now) }
            self.relieve()
            self.settings.accessLog?.flush()
            self.isSweeping = !self.clients.isEmpty
            if self.isSweeping { self.sweepLater() }
        }
    }

    // MARK: What requests have in common

    func request(_ head: consuming RequestHead, _ client: HTTPClient) -> HTTPRequest {
        counters.add(.requests)
        requestNumber = requestNumber.next
        return HTTPRequest(
            head: head, client: client, number: requestNumber, start: loop.now,
            tracer: settings.tracer)
    }

    /// Takes note of an answer that is complete.
    func answered(_ request: HTTPRequest, status: Int, bytes: Int) {
        let nanoseconds = LoopInstant.current().nanoseconds(since: request.start)
        durations.note(nanoseconds, route: request.routeIndex)
        if let tracer = settings.tracer {
            let route = request.endpoint?.route
            if route?.isTraced != false,
                let span = Span(request, route: route?.path, status: status, took: nanoseconds)
            {
                tracer.record(span)
            }
        }
        guard let log = settings.accessLog else { return }
        let line = AccessLogLine(
            request, status: status, bytes: bytes, microseconds: Int(nanoseconds / 1000),
            date: dateText)
        log.write(line.text)
    }

    /// For the `Date` of answers.
    var dateText: String { heads.date(at: second) }

    /// Begins an answer of HTTP/1.1.
    func beginHead(
        of response: HTTPResponse, to client: HTTPClient, _ output: inout HTTP1Writer,
    ) {
        lend(to: &output.bytes)
        let needs = security.needs(of: response, client)
        heads.write(
            response.status, type: response.type, variant: needs.rawValue, at: second, to: &output,
        ) { security.write(needs, to: &$0) }
    }

    /// Gives the loop's spare room to an output that has none.
    func lend(to output: inout OctetBuffer) {
        if output.capacity == 0 { swap(&output, &room) }
    }

    private static let mostSpare = 16 << 10

    /// Takes the room of an answer that has been sent, for the loop's next one.
    ///
    /// An idle connection holds none so; a large answer's is given back.
    func takeBack(_ sent: inout OctetBuffer) {
        if sent.capacity <= Self.mostSpare, sent.capacity > room.capacity { swap(&sent, &room) }
        sent = OctetBuffer()
    }

    /// The second since 1970; the calendar's clock is asked once in a second of the loop's.
    private var second: Int {
        let now = loop.now.nanoseconds / 1_000_000_000
        if now != loopSecond {
            loopSecond = now
            calendarSecond = time(nil)
        }
        return calendarSecond
    }

    // MARK: The end

    /// Takes no new connections and ends those that are idle.
    func drain() {
        isDraining = true
        for door in doors { door.close() }
        for stream in clients { stream.onDrain?() }
    }

    func closeAll() {
        for stream in clients {
            stream.task?.cancel()
            stream.socket.close()
        }
    }
}
