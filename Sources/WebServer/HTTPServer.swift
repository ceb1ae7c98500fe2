import CLinux
import Glibc
package import HTTPWire
package import Sockets
import Synchronization

/// Settings of an HTTP server, with their units and defaults.
package struct HTTPServerConfiguration: Sendable {
    package var limits = HTTPLimits()
    /// For a whole head, from its first byte.
    package var headTimeout = Duration.seconds(10)
    /// For a whole body.
    package var bodyTimeout = Duration.seconds(120)
    /// Between two requests.
    package var idleTimeout = Duration.seconds(75)
    /// For a write to be taken by the client.
    package var writeTimeout = Duration.seconds(30)
    /// Connections of one loop; past it no more are accepted until one ends.
    package var connections = 5_000
    /// Turns an error of the server itself into its answer.
    package var refusal: @Sendable (_ status: Int, _ detail: String) -> HTTPResponse
    /// Looks at a request before its body is read; nil lets it pass.
    package var authorize: @Sendable (HTTPRequest) -> HTTPResponse? = { _ in nil }

    package init(refusal: @escaping @Sendable (Int, String) -> HTTPResponse) {
        self.refusal = refusal
    }
}

/// An HTTP/1.1 server: on every event loop a listener of its own and that listener's connections.
package final class HTTPServer: Sendable {
    private let doors: [LoopListener]
    /// The port that is listened on, chosen by the system where 0 was asked.
    package let port: Int

    /// Binds the address and begins to accept.
    ///
    /// - Throws: `SocketError.system` when the address cannot be had.
    package init(
        host: String, port: Int, loops: [EventLoop], router: Router,
        configuration: HTTPServerConfiguration,
    ) throws(SocketError) {
        var bound = port
        var doors: [LoopListener] = []
        for loop in loops {
            let fd = try listen(host: host, port: bound)
            if bound == 0 { bound = localPort(fd) }
            doors.append(
                LoopListener(fd: fd, loop: loop, router: router, configuration: configuration))
        }
        self.doors = doors
        self.port = bound
        for door in doors { door.loop.execute { door.open() } }
    }

    /// Takes no new connections, lets requests under way finish, then closes what is left.
    package func stop(grace: Duration) async {
        for door in doors { door.loop.execute { door.drain() } }
        let end = ContinuousClock.now + grace
        while doors.contains(where: { $0.count.load(ordering: .relaxed) > 0 }),
            ContinuousClock.now < end
        {
            try? await Task.sleep(for: .milliseconds(20))
        }
        for door in doors { door.loop.execute { door.closeAll() } }
    }
}

/// The listener of one loop and its connections; belongs to that loop's thread.
private final class LoopListener: EventHandler, @unchecked Sendable {
    // Unchecked: all but `count` is used on the loop's thread alone.
    let loop: EventLoop
    let count = Atomic<Int>(0)
    private let fd: Int32
    private let router: Router
    private let configuration: HTTPServerConfiguration
    private let drainSwitch = DrainSwitch()
    private var connections: [Int: (connection: HTTP1Connection, socket: AsyncSocket)] = [:]
    private var nextNumber = 0
    private var isPaused = false
    private var isClosed = false

    init(fd: Int32, loop: EventLoop, router: Router, configuration: HTTPServerConfiguration) {
        self.fd = fd
        self.loop = loop
        self.router = router
        self.configuration = configuration
    }

    func open() {
        // Level-triggered: what is not accepted now is told again.
        try? loop.watch(fd, EPOLLIN.rawValue, handler: self)
    }

    func ready(_ events: UInt32) {
        for _ in 0..<64 {
            guard connections.count < configuration.connections else { return pause() }
            let accepted = clinux_accept(fd)
            if accepted == -EMFILE || accepted == -ENFILE { return pause() }
            guard accepted >= 0 else { return }
            guard let socket = try? AsyncSocket(accepted, on: loop) else { continue }
            serve(socket)
        }
    }

    /// Stops accepting for a moment, instead of spinning on what cannot be accepted.
    private func pause() {
        guard !isPaused, !isClosed else { return }
        isPaused = true
        loop.unwatch(fd)
        loop.schedule(after: .milliseconds(100)) {
            self.isPaused = false
            if !self.isClosed { self.open() }
        }
    }

    private func serve(_ socket: AsyncSocket) {
        let connection = HTTP1Connection(
            socket: socket, configuration: configuration, router: router, drain: drainSwitch)
        let number = nextNumber
        nextNumber += 1
        connections[number] = (connection, socket)
        count.store(connections.count, ordering: .relaxed)
        // A task of its own: a connection lives as long as its client, not as this call.
        Task(executorPreference: loop) {
            await connection.run()
            self.loop.execute { self.ended(number) }
        }
    }

    private func ended(_ number: Int) {
        connections[number] = nil
        count.store(connections.count, ordering: .relaxed)
    }

    func drain() {
        drainSwitch.isDraining = true
        ready(0)  // what the kernel has accepted already is still served
        isClosed = true
        loop.unwatch(fd)
        close(fd)
        for (connection, _) in connections.values {
            connection.assumeIsolated { $0.closeIfIdle() }
        }
    }

    func closeAll() {
        for (_, socket) in connections.values { socket.close() }
    }
}

/// A listening socket that shares its port with those of the other loops.
private func listen(host: String, port: Int) throws(SocketError) -> Int32 {
    var hints = addrinfo()
    hints.ai_flags = Int32(AI_PASSIVE | AI_NUMERICSERV)
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var found: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(host, String(port), &hints, &found) == 0, let address = found else {
        throw .system("resolve \(host)", EADDRNOTAVAIL)
    }
    defer { freeaddrinfo(found) }
    let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
    let fd = socket(address.pointee.ai_family, type, 0)
    guard fd >= 0 else { throw .system("socket", errno) }
    var on: Int32 = 1
    let size = socklen_t(MemoryLayout<Int32>.size)
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, size)
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, size)
    setsockopt(fd, Int32(IPPROTO_TCP), TCP_NODELAY, &on, size)
    guard bind(fd, address.pointee.ai_addr, address.pointee.ai_addrlen) == 0,
        Glibc.listen(fd, 4096) == 0
    else {
        let code = errno
        close(fd)
        throw .system("listen on \(host):\(port)", code)
    }
    return fd
}

private func localPort(_ fd: Int32) -> Int {
    var storage = sockaddr_storage()
    var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
    return withUnsafeMutablePointer(to: &storage) { pointer in
        _ = pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
            getsockname(fd, address, &size)
        }
        // The port stands at the same place in IPv4 and IPv6 addresses.
        return pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { address in
            Int(UInt16(bigEndian: address.pointee.sin_port))
        }
    }
}
