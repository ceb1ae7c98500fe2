import Synchronization

/// Counts the answers of one loop by route and status; it alone adds, anyone may read.
final class AnswerCounters: Sendable {
    private let row: CounterRow
    private let routes: Int

    private static let statuses = 200..<512

    /// - Parameter routes: how many there are; answers without one are counted behind them.
    init(routes: Int) {
        self.routes = routes
        row = CounterRow(count: (routes + 1) * Self.statuses.count)
    }

    func add(route: Int?, status: Int) {
        guard Self.statuses.contains(status) else { return }
        row.add(1, at: Self.place(route ?? routes, status))
    }

    func value(route: Int, status: Int) -> Int { row.value(at: Self.place(route, status)) }

    private static func place(_ route: Int, _ status: Int) -> Int {
        route * statuses.count + status - statuses.lowerBound
    }

    /// What loops have counted together; the index behind the last route is of no route.
    static func sum(_ counters: [AnswerCounters]) -> [(route: Int, status: Int, count: Int)] {
        guard let first = counters.first else { return [] }
        var found: [(route: Int, status: Int, count: Int)] = []
        for route in 0...first.routes {
            for status in statuses {
                let count = counters.reduce(0) { $0 + $1.value(route: route, status: status) }
                if count > 0 { found.append((route, status, count)) }
            }
        }
        return found
    }
}

/// Answers of one route with one status.
package struct AnswerCount: Sendable {
    /// nil when no route was found.
    package let method: String?
    package let path: String?
    package let status: Int
    package let count: Int
}

/// Lets routes, which are made before their server, read its counters.
package final class HTTPServerWatch: Sendable {
    private let server = Mutex<HTTPServer?>(nil)

    package init() {}

    package func look(at server: HTTPServer) { self.server.withLock { $0 = server } }

    package var statistics: HTTPServerStatistics? { server.withLock { $0 }?.statistics }

    package var answers: [AnswerCount] { server.withLock { $0 }?.answers ?? [] }

    package var durations: [RouteDuration] { server.withLock { $0 }?.durations ?? [] }
}
