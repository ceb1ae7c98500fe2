import Functions
package import Jobs
import Sockets

/// How the engine does.
extension JobQueue {
    /// Whether the engine has answered within the last second, so that it need not be asked again.
    package var hasAnsweredLately: Bool {
        LoopInstant.current().nanoseconds(since: lastAnswer.instant) < 1_000_000_000
    }

    /// Waits until the engine answers, which it does at once if it lives.
    package func answer() async { lastAnswer.instant = await dispatcher.time }

    /// Why no jobs should be sent here, in sentences; empty when all is well.
    package func hindrances() async -> [String] {
        var found: [String] = []
        if events.isClosed { found.append("The server stops.") }
        if let reading = catalogue.reading { found.append(reading) }
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
