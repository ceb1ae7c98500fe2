import CLinux
import Glibc
import Sockets
import Synchronization

/// A listening socket on one loop: takes connections while the limits allow it.
final class LoopListener: EventHandler {
    private unowned let home: ServerLoop
    private let socket: ListeningSocket
    /// The loops that watch the same descriptor, as they do of a Unix socket; nil of one's own.
    private let sharers: ListenerSharers?
    private(set) var isPaused = false
    private var isClosed = false

    init(_ socket: ListeningSocket, sharers: ListenerSharers?, home: ServerLoop) {
        self.socket = socket
        self.sharers = sharers
        self.home = home
    }

    func open() {
        // Level-triggered: what is not accepted now is told again.
        let exclusive = sharers == nil ? 0 : clinux_epoll_exclusive
        do throws(SocketError) {
            try home.loop.watch(socket.descriptor, EPOLLIN.rawValue | exclusive, handler: self)
        } catch {
            // The kernel has no memory for it; soon it may have.
            pause()
        }
    }

    func ready(_ events: UInt32) { accept(most: 64) }

    private func accept(most: Int) {
        for _ in 0..<most {
            if home.ledger.isFull {
                // Nobody is sent away for a connection that does not come.
                guard socket.isAwaited else { return }
                makeRoom()
                guard !home.ledger.isFull else {
                    home.counters.add(.limitConnections)
                    return pause()
                }
            }
            switch socket.accept() {
            case .connection(let descriptor, let address): take(descriptor, address)
            case .failed: continue
            case .nobody: return
            case .noDescriptor:
                guard socket.isAwaited else { return }
                home.counters.add(.limitDescriptors)
                guard makeRoom() else { return pause() }
            }
        }
    }

    private func take(_ descriptor: Int32, _ address: PeerAddress) {
        // Whoever may open a Unix socket is as near as a proxy.
        let proxies = home.settings.trustedProxies
        let isTrusted =
            switch address {
            case .unix: true
            case .internet(let address): proxies.contains { $0.contains(address) }
            }
        let counted = isTrusted ? nil : address.network
        switch home.ledger.admit(counted) {
        case .admitted: break
        case .tooManyOfAddress:
            home.counters.add(.limitConnectionsPerAddress)
            Glibc.close(descriptor)
            return
        case .full:
            home.counters.add(.limitConnections)
            Glibc.close(descriptor)
            return
        }
        guard let socket = makeSocket(descriptor, isLocal: address == .unix) else {
            home.counters.add(.handshakeFailures)
            return home.ledger.release(counted)
        }
        home.serve(
            ClientStream(
                socket: socket, home: home,
                client: HTTPClient(
                    address: address, isSecure: socket.isSecure,
                    proxies: isTrusted ? proxies : [],
                    forwardedHeader: home.settings.forwardedHeader),
                countedAddress: counted))
    }

    /// Takes over a descriptor; nil, which is counted, and it is closed, when there is no TLS for it
    /// where it must be.
    private func makeSocket(_ descriptor: Int32, isLocal: Bool) -> AsyncSocket? {
        guard !isLocal, let tls = home.settings.tls else {
            return AsyncSocket(descriptor, on: home.loop)
        }
        return try? AsyncSocket(descriptor, on: home.loop, secure: tls)
    }

    /// Closes idle connections; of other loops, which takes a moment, where this one has none.
    ///
    /// - Returns: whether there is room already.
    @discardableResult
    private func makeRoom() -> Bool {
        if home.makeRoom() { return true }
        home.ledger.askOthers()
        return false
    }

    /// Stops accepting until a connection ends, instead of spinning on what cannot be accepted;
    /// looks again by itself, since what was short may be free by other means.
    private func pause() {
        guard !isPaused, !isClosed else { return }
        isPaused = true
        home.loop.unwatch(socket.descriptor)
        home.loop.schedule(after: .milliseconds(100)) { self.resume() }
    }

    func resume() {
        guard isPaused, !isClosed else { return }
        isPaused = false
        open()
    }

    func close() {
        guard !isClosed else { return }
        // What the kernel has accepted already is still served.
        accept(most: 4096)
        isClosed = true
        home.loop.unwatch(socket.descriptor)
        if sharers?.lastLeaves() ?? true { socket.close() }
    }
}

/// Those who watch one listening socket, of whom the last to let go closes it: nobody must be left to connect
/// to a socket at which nobody accepts.
final class ListenerSharers: Sendable {
    private let count: Atomic<Int>

    init(_ count: Int) { self.count = Atomic(count) }

    /// Takes leave of one; whether it was the last.
    fileprivate func lastLeaves() -> Bool {
        count.wrappingSubtract(1, ordering: .relaxed).newValue == 0
    }
}
