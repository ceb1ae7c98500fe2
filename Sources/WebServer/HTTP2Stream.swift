import HTTPWire
import Sockets

/// One request of an HTTP/2 connection and its answer.
final class HTTP2Stream: MemoryHolder, @unchecked Sendable {
    // Unchecked: used on the connection's loop's thread alone.
    let id: Int32
    private let connection: HTTP2Connection
    var request: HTTPRequest?
    var route: Route?
    var task: Task<Void, Never>?

    init(_ id: Int32, _ connection: HTTP2Connection) {
        self.id = id
        self.connection = connection
    }

    // MARK: The request's body

    /// What has come and was not handed over, and when the last of it came.
    private var incoming: [UInt8] = []
    private var lastArrival = LoopInstant.never
    private var clock = BodyClock()
    private(set) var isBodyComplete = false
    /// Whether the client has said that it sends no more.
    var hasClientEnded = false
    private var bodyWaiter: UnsafeContinuation<Void, Never>?
    /// Why the rest of the body is not waited for; the answer to the request.
    private(set) var bodyFailure: HTTPRefusal?
    private(set) var isClosed = false

    /// Bytes of the body that have come.
    var received: Int { clock.received }

    /// Begins to wait for a body that is collected; for another the handler does.
    func expectBody(by route: Route) {
        clock.isLive = route.isLive
        if !isBodyComplete, !route.takesBodyAsStream { clock.begin(connection.home.loop.now) }
    }

    /// What the client meets if it sends nothing more; nil while it is not waited for.
    func bodyBound(_ settings: HTTPServerConfiguration) -> BodyClock.Bound? {
        clock.bound(settings)
    }

    /// Forgets how long the client has been waited for: it may not send.
    func forgiveWait(_ now: LoopInstant) { clock.forgive(now) }

    /// Adds data; they are kept until the handler takes them, and the client's window with them if
    /// the handler takes the body as a stream.
    func add(_ bytes: UnsafeBufferPointer<UInt8>) {
        if case .bytes(let count)? = request?.head.body, route?.takesBodyAsStream == false {
            incoming.makeRoom(for: count - received, atLeast: bytes.count)
        }
        let now = connection.home.loop.now
        lastArrival = now
        clock.end(now, bytes: bytes.count)
        if route?.takesBodyAsStream == false { clock.begin(now) }
        connection.bodyBytes += bytes.count
        incoming.append(contentsOf: bytes)
        wakeBodyWaiter()
    }

    func endBody() {
        isBodyComplete = true
        clock.end(connection.home.loop.now)
        wakeBodyWaiter()
    }

    /// Whether the request was answered before its body was complete.
    private(set) var isBodyUnwanted = false

    /// The rest of the body is passed over.
    func abandonBody() {
        isBodyUnwanted = true
        endBody()
    }

    func takeBody() -> [UInt8] {
        defer { incoming = [] }
        connection.bodyBytes -= incoming.count
        return incoming
    }

    var bodyStream: HTTPBodyStream {
        HTTPBodyStream(
            pull: { try await self.nextPiece() }, tell: { await self.hint($0) },
            keep: { await self.keep($0) })
    }

    @concurrent private func keep(_ bytes: Int) async {
        precondition(connection.home.loop.isCurrent, "a body is read in the task of its handler")
        guard !isClosed else { return }
        keptBytes = bytes
        connection.home.relieve()
    }

    @concurrent private func hint(_ fields: [HTTPField]) async {
        precondition(connection.home.loop.isCurrent, "hints are given in the task of the handler")
        if !isClosed { connection.hint(fields, on: self) }
    }

    @concurrent private func nextPiece() async throws -> [UInt8]? {
        precondition(connection.home.loop.isCurrent, "a body is read in the task of its handler")
        while incoming.isEmpty {
            if isClosed { throw CancellationError() }
            if let bodyFailure { throw bodyFailure }
            if isBodyComplete { return nil }
            clock.begin(connection.home.loop.now)
            await withUnsafeContinuation { bodyWaiter = $0 }
        }
        let piece = takeBody()
        connection.consumed(piece.count, of: self)
        return piece
    }

    /// The handler has answered, and holds nothing more.
    func letGoOfBody() { keptBytes = 0 }

    /// Has the handler that waits for more fail.
    func failBody(_ refusal: HTTPRefusal) {
        bodyFailure = refusal
        clock.end(connection.home.loop.now)
        wakeBodyWaiter()
    }

    private func wakeBodyWaiter() {
        bodyWaiter?.resume()
        bodyWaiter = nil
    }

    // MARK: The answer's body

    private var outgoing: [UInt8] = []
    private var position = 0
    private var isLast = false
    private var isDeferred = false
    private var roomWaiter: UnsafeContinuation<Void, Never>?
    /// When the client last took something of the answer; nil before there is one.
    private(set) var lastProgress: LoopInstant?

    /// Of the answer; 0 before there is one.
    var status = 0
    /// Bytes of the answer's body that the session has taken.
    private(set) var sent = 0

    /// Bytes of the answer that the client has not taken.
    var unsent: Int { outgoing.count - position }

    /// Whether the answer is short, or there is none to be sent.
    var isSmall: Bool { request?.head.method == .head || route?.quickHandler != nil }

    /// Gives the answer's next bytes, or all of them.
    func offer(_ bytes: [UInt8], isLast: Bool) {
        if lastProgress == nil || unsent == 0 { lastProgress = connection.home.loop.now }
        connection.pendingBytes += bytes.count - unsent
        outgoing = bytes
        position = 0
        self.isLast = isLast
        if isDeferred {
            isDeferred = false
            connection.resume(self)
        }
    }

    /// Puts the next bytes into `buffer`.
    func read(into buffer: UnsafeMutableRawBufferPointer) -> HTTP2Reading {
        let count = min(buffer.count, unsent)
        guard count > 0 || isLast, !isClosed else {
            isDeferred = true
            return .later
        }
        outgoing.withUnsafeBytes {
            buffer.copyMemory(
                from: UnsafeRawBufferPointer(rebasing: $0[position..<position + count]))
        }
        position += count
        sent += count
        let now = connection.home.loop.now
        lastProgress = now
        connection.lastTaken = now
        connection.pendingBytes -= count
        let isDone = unsent == 0
        if isDone {
            outgoing = []
            position = 0
            wakeRoomWaiter()
        }
        return .bytes(count, isLast: isDone && isLast)
    }

    /// Waits until the client has taken what was offered.
    func untilTaken() async throws {
        while unsent > 0, !isClosed {
            await withUnsafeContinuation { roomWaiter = $0 }
        }
        if isClosed { throw CancellationError() }
    }

    private func wakeRoomWaiter() {
        roomWaiter?.resume()
        roomWaiter = nil
    }

    /// The stream is gone, whoever ended it: what waits for it gives up.
    func close() {
        isClosed = true
        clock.end(connection.home.loop.now)
        connection.dropped(takeBody().count, of: self)
        coderBytes = 0
        keptBytes = 0
        headBytes = 0
        connection.pendingBytes -= unsent
        outgoing = []
        position = 0
        task?.cancel()
        task = nil
        wakeBodyWaiter()
        wakeRoomWaiter()
    }

    // MARK: What is held

    /// Of the request's head.
    var headBytes = 0 {
        didSet {
            connection.headBytes += headBytes - oldValue
            connection.home.hold(headBytes - oldValue)
        }
    }

    /// A head of which many are worth being let go, though their requests only wait.
    private static let largeHead = 4 << 10

    /// What compresses the answer takes of memory.
    var coderBytes = 0 { didSet { connection.home.hold(coderBytes - oldValue) } }

    /// What the handler holds of a body that it takes as a stream.
    private var keptBytes = 0 { didSet { connection.home.hold(keptBytes - oldValue) } }

    var heldBytes: Int {
        isClosed ? 0 : unsent + incoming.count + coderBytes + keptBytes + headBytes
    }

    var stalledSince: LoopInstant {
        if unsent > 0 { return lastProgress ?? .never }
        if awaitsBody { return clock.waitsSince ?? .never }
        // It is the handler that has not taken it, if one is at work, and else a client with its windows shut.
        if task == nil, !incoming.isEmpty { return lastArrival }
        return headBytes > Self.largeHead ? request?.start ?? .never : .never
    }

    /// Whether it is the client that keeps the request waiting, for the rest of its body.
    var awaitsBody: Bool {
        !isBodyComplete && (route?.takesBodyAsStream != true || bodyWaiter != nil)
    }

    func giveUp() { connection.giveUp(self) }
}
