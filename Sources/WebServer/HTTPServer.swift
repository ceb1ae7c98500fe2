import HTTPWire
package import Sockets

/// An HTTP server: on every event loop listeners of its own and their connections.
package final class HTTPServer: Sendable {
    private let loops: [ServerLoop]
    private let routes: [Route]
    private let ledger: ConnectionLedger
    private let service: HTTPService
    private let bound: [[ListeningSocket]]
    /// Where it listens, with the ports that the system chose where 0 was asked.
    package let addresses: [ListenAddress]

    /// Binds the addresses; who connects waits for `open`.
    ///
    /// - Throws: `SocketError.system` when an address cannot be had.
    package init(
        listen addresses: [ListenAddress], loops: [EventLoop], router: Router,
        configuration: HTTPServerConfiguration,
    ) throws(SocketError) {
        let ledger = ConnectionLedger(
            limit: configuration.connections, perAddress: configuration.connectionsPerAddress)
        let service = HTTPService(router: router, settings: configuration)
        self.ledger = ledger
        routes = router.routes
        self.service = service
        let homes = loops.map { ServerLoop(loop: $0, service: service, ledger: ledger) }
        if homes.count > 1 {
            for home in homes {
                ledger.whenAsked { [weak home] in
                    guard let home else { return }
                    home.loop.execute { home.makeRoom() }
                }
            }
        }
        self.loops = homes
        var bound: [[ListeningSocket]] = loops.map { _ in [] }
        do throws(SocketError) {
            for address in addresses {
                // The loops share a port, whose connections the kernel deals out; or the socket.
                let first = try ListeningSocket(address)
                bound[0].append(first)
                for index in bound.indices.dropFirst() {
                    if case .unix = address {
                        bound[index].append(first)
                    } else {
                        bound[index].append(try ListeningSocket(first.address, isShared: true))
                    }
                }
            }
        } catch {
            for sockets in bound.dropFirst() {
                for socket in sockets where !socket.address.isShared { socket.close() }
            }
            for socket in bound[0] { socket.close() }
            throw error
        }
        self.bound = bound
        self.addresses = bound[0].map(\.address)
    }

    /// Begins to accept.
    package func open() {
        let sharers = addresses.map { $0.isShared ? ListenerSharers(loops.count) : nil }
        for (home, sockets) in zip(loops, bound) {
            home.loop.execute {
                home.open(
                    zip(sockets, sharers).map { LoopListener($0, sharers: $1, home: home) })
            }
        }
    }

    package var statistics: HTTPServerStatistics {
        let counts = HTTPServerStatistics.Counter.allCases.map { counter in
            loops.reduce(0) { $0 + $1.counters.value(counter) }
        }
        return HTTPServerStatistics(
            counts: counts, open: ledger.open, droppedLogLines: accessLog?.dropped ?? 0)
    }

    /// nil for none.
    package var accessLog: AccessLog? { service.settings.accessLog }

    /// How often each route has answered with each status.
    package var answers: [AnswerCount] {
        AnswerCounters.sum(loops.map(\.answers)).map { index, status, count in
            let route = index < routes.count ? routes[index] : nil
            return AnswerCount(
                method: route?.method.rawValue, path: route?.path, status: status, count: count)
        }
    }

    /// How long each route has taken to answer.
    package var durations: [RouteDuration] {
        RouteDurations.sum(loops.map(\.durations)).map { index, counts, seconds in
            let route = index < routes.count ? routes[index] : nil
            return RouteDuration(
                method: route?.method.rawValue, path: route?.path, counts: counts, seconds: seconds)
        }
    }

    /// Takes no new connections, lets requests under way finish, then closes what is left.
    ///
    /// - Parameter isOver: asked now and then whether they have had their time.
    package func stop(whenOver isOver: @Sendable () -> Bool) async {
        for home in loops { home.loop.execute { home.drain() } }
        repeat {
            // Nobody cancels the stop of a server.
            try? await Task.sleep(for: .milliseconds(20))
        } while ledger.open > 0 && !isOver()
        for home in loops { home.loop.execute { home.closeAll() } }
        service.stop()
        await accessLog?.finish()
    }
}

extension ListenAddress {
    fileprivate var isShared: Bool {
        if case .unix = self { true } else { false }
    }
}
