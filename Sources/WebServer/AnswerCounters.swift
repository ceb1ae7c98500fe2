import Synchronization

/// Counts the answers of one loop by route and status; it alone adds, anyone may read.
final class AnswerCounters: @unchecked Sendable {
    // Unchecked: the pointer is never changed, and atomics stand behind it.
    private let row: UnsafeMutablePointer<Atomic<Int>>
    private let routes: Int

    private static let statuses = 200..<512

    /// - Parameter routes: how many there are; answers without one are counted behind them.
    init(routes: Int) {
        self.routes = routes
        let count = (routes + 1) * Self.statuses.count
        row = .allocate(capacity: count)
        for index in 0..<count { (row + index).initialize(to: Atomic(0)) }
    }

    deinit {
        row.deinitialize(count: (routes + 1) * Self.statuses.count)
        row.deallocate()
    }

    func add(route: Int?, status: Int) {
        guard Self.statuses.contains(status) else { return }
        let place = (route ?? routes) * Self.statuses.count + status - Self.statuses.lowerBound
        row[place].store(row[place].load(ordering: .relaxed) &+ 1, ordering: .relaxed)
    }

    func value(route: Int, status: Int) -> Int {
        row[route * Self.statuses.count + status - Self.statuses.lowerBound].load(
            ordering: .relaxed)
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

/// A look at a server that is made after those who look.
package final class HTTPServerWatch: Sendable {
    private let server = Mutex<HTTPServer?>(nil)

    package init() {}

    package func look(at server: HTTPServer) { self.server.withLock { $0 = server } }

    package var statistics: HTTPServerStatistics? { server.withLock { $0 }?.statistics }

    package var answers: [AnswerCount] { server.withLock { $0 }?.answers ?? [] }

    package var durations: [RouteDuration] { server.withLock { $0 }?.durations ?? [] }
}
