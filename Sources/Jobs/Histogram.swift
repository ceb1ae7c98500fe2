/// Counts how often values came, by upper bounds.
package struct Histogram: Sendable, Equatable {
    /// Upper bounds, inclusive, growing; values over the last are counted in `counts` behind it.
    package let bounds: [Double]
    package private(set) var counts: [Int]
    package private(set) var sum = 0.0

    package init(bounds: [Double]) {
        self.bounds = bounds
        counts = Array(repeating: 0, count: bounds.count + 1)
    }

    package mutating func note(_ value: Double) {
        var place = 0
        while place < bounds.count, value > bounds[place] { place += 1 }
        counts[place] += 1
        sum += value
    }

    package var total: Int { counts.reduce(0, +) }

    /// Seconds, for what takes from a millisecond to an hour.
    package static let durations: [Double] = [
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800,
        3600,
    ]
}
