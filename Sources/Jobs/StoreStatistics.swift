/// What a store has done since its start, and whether it works.
package struct StoreStatistics: Sendable {
    /// Seconds that transactions took, with their sync to the disk.
    package var commitSeconds = Histogram(bounds: [
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5,
    ])
    /// Changes that transactions held.
    package var commitChanges = Histogram(bounds: [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500])
    /// Changes that could not be made.
    package var failedChanges = 0
    /// Why the latest transaction failed; nil when it was made.
    package var failure: StoreError?
    /// Of its files; 0 when it has none.
    package var bytes = 0

    package init() {}
}

/// A look at a store from outside.
package protocol StoreHealth: Sendable {
    var statistics: StoreStatistics { get }

    /// Writes something small that changes nothing.
    ///
    /// - Throws: what hinders the store from writing.
    func probe() async throws(StoreError)
}

extension StoreHealth {
    package var statistics: StoreStatistics { StoreStatistics() }
    package func probe() async throws(StoreError) {}
}
