import Glibc
import HTTPWire
import Sockets

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
    let counters = LoopCounters()
    let ledger: ConnectionLedger
    /// Room for one read; what it holds is used or copied before the reader suspends.
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 64)
    private(set) var isDraining = false
    private var clients: [ClientStream] = []
    private var isSweeping = false
    private var requestNumber = RequestNumber.random()
    private var dateLine = ""
    private var dateSecond = Int64.min
    private var doors: [LoopListener] = []

    init(
        loop: EventLoop, service: HTTPService, ledger: ConnectionLedger,
    ) {
        self.loop = loop
        self.service = service
        settings = service.settings
        idleTime = LoopTime(settings.idleTimeout)
        headTime = LoopTime(settings.headTimeout)
        self.ledger = ledger
    }

    deinit { scratch.deallocate() }

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
        let connection = HTTP1Connection(stream)
        // A task of its own: a connection lives as long as its client, not as this call.
        stream.task = Task(executorPreference: loop) {
            await connection.run()
            stream.home.ended(stream)
        }
    }

    private func ended(_ stream: ClientStream) {
        stream.close()
        let last = clients.removeLast()
        if last !== stream {
            clients[stream.index] = last
            last.index = stream.index
        }
        ledger.release(stream.countedAddress)
        for door in doors where door.isPaused { door.resume() }
    }

    /// Looks at all deadlines; often enough for the shortest of them.
    private func sweepLater() {
        let shortest = min(
            settings.headTimeout, settings.idleTimeout, settings.writeTimeout, settings.bodyGrace,
            settings.lingerTimeout)
        loop.schedule(after: min(.milliseconds(500), max(.milliseconds(10), shortest / 4))) {
            let now = self.loop.now
            for stream in self.clients { stream.sweep(now) }
            self.settings.accessLog?.flush()
            self.isSweeping = !self.clients.isEmpty
            if self.isSweeping { self.sweepLater() }
        }
    }

    // MARK: What requests have in common

    func nextRequestNumber() -> RequestNumber {
        requestNumber = RequestNumber(loop: requestNumber.loop, count: requestNumber.count &+ 1)
        return requestNumber
    }

    /// `Date: …` with its line's end, made once a second.
    var date: String {
        let second = loop.now.nanoseconds / 1_000_000_000
        if second != dateSecond {
            dateSecond = second
            dateLine = "Date: \(HTTPDate.text(time(nil)))\r\n"
        }
        return dateLine
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

extension RequestNumber {
    fileprivate static func random() -> RequestNumber {
        RequestNumber(loop: .random(in: .min ... .max), count: 0)
    }
}
