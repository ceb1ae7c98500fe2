package import Jobs

/// How the engine does.
extension JobQueue {
    /// Waits until the engine answers, which it does at once if it lives.
    package func answer() async { _ = await dispatcher.runningCount }

    /// Why no jobs should be sent here, in sentences; empty when all is well.
    package func hindrances() async -> [String] {
        var found: [String] = []
        if events.isClosed { found.append("The server stops.") }
        if store.statistics.failure != nil {
            do throws(StoreError) {
                try await store.probe()
            } catch {
                found.append("The store does not work: \(error)")
            }
        }
        return found
    }

    package var storeStatistics: StoreStatistics { store.statistics }

    /// Streams of events that are open.
    package var eventStreams: Int { events.readerCount }

    /// What has become of jobs since the start, by function and queue.
    package func jobCounts() async -> [JobCounts] { await dispatcher.jobCounts }
}
