/// Counts, by route, how long one loop's answers took; it alone adds, anyone may read.
final class RouteDurations: Sendable {
    private let row: CounterRow
    private let routes: Int

    /// A route's counters: its buckets, then the sum of its nanoseconds.
    private static let width = RouteDuration.bounds.count + 2

    /// Nanoseconds.
    private static let bounds = RouteDuration.bounds.map { Int64($0 * 1e9) }

    /// - Parameter routes: how many there are; answers without one are counted behind them.
    init(routes: Int) {
        self.routes = routes
        row = CounterRow(count: (routes + 1) * Self.width)
    }

    func note(_ nanoseconds: Int64, route: Int?) {
        var bucket = 0
        while bucket < Self.bounds.count, nanoseconds > Self.bounds[bucket] { bucket += 1 }
        let first = (route ?? routes) * Self.width
        row.add(1, at: first + bucket)
        row.add(Int(nanoseconds), at: first + Self.width - 1)
    }

    /// What loops have counted together, of routes that have answered; the index behind the last
    /// route is of no route.
    static func sum(
        _ loops: [RouteDurations],
    ) -> [(route: Int, counts: [Int], seconds: Double)] {
        guard let first = loops.first else { return [] }
        return (0...first.routes).compactMap { route in
            let sums = (0..<width).map { cell in
                loops.reduce(0) { $0 + $1.row.value(at: route * width + cell) }
            }
            let counts = Array(sums.dropLast())
            guard counts.contains(where: { $0 > 0 }) else { return nil }
            return (route, counts, Double(sums[width - 1]) / 1e9)
        }
    }
}

/// How long the answers of one route took.
package struct RouteDuration: Sendable {
    /// nil when no route was found.
    package let method: String?
    package let path: String?
    /// Answers between each bound and the one before; the last are over all bounds.
    package let counts: [Int]
    /// Of all of them together.
    package let seconds: Double

    /// Upper bounds in seconds, inclusive.
    package static let bounds = [
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60,
    ]
}
