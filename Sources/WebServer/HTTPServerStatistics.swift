/// What a server has done since its start, at one moment.
package struct HTTPServerStatistics: Sendable {
    private let counts: [Int]
    /// Connections open now.
    package let open: Int
    /// Lines that the access log has lost.
    package let droppedLogLines: Int

    init(counts: [Int], open: Int, droppedLogLines: Int) {
        self.counts = counts
        self.open = open
        self.droppedLogLines = droppedLogLines
    }

    package subscript(counter: Counter) -> Int { counts[counter.rawValue] }

    /// What is counted; the names are those of metrics.
    package enum Counter: Int, CaseIterable, Sendable {
        case connectionsAccepted, requests, bytesReceived, bytesSent
        /// Moments at which accepting paused, and connections closed at once.
        case limitConnections, limitConnectionsPerAddress, limitDescriptors
        case limitRequestLine, limitHead, limitBody, malformed
        case limitHeadTime, limitBodyRate, limitBodyTime, limitIdleTime, limitWriteTime
        case limitPipelinedBytes, limitHeldBytes, limitStreams
        /// Answers that were not compressed because as many were being compressed as may be.
        case limitCoders
        case http2Errors, handshakeFailures
        /// Requests whose client left before their answer.
        case hangUps
        /// Idle connections closed so that others found room.
        case idleForRoom
        /// Bytes held for clients now; the one that also sinks.
        case heldBytes

        /// The limit that a refusal of this status has met; nil of those that are counted where they
        /// are met.
        static func limit(_ status: Int) -> Counter? {
            switch status {
            case 408, 503: nil
            case 413: .limitBody
            case 414: .limitRequestLine
            case 431: .limitHead
            default: .malformed
            }
        }
    }
}

/// The counters of one loop, which it alone adds to and anyone may read.
final class LoopCounters: Sendable {
    private let row = CounterRow(count: HTTPServerStatistics.Counter.allCases.count)

    func add(_ counter: HTTPServerStatistics.Counter, _ number: Int = 1) {
        row.add(number, at: counter.rawValue)
    }

    /// Counts a refusal as what it met.
    func addRefusal(_ status: Int) {
        if let counter = HTTPServerStatistics.Counter.limit(status) { add(counter) }
    }

    func value(_ counter: HTTPServerStatistics.Counter) -> Int { row.value(at: counter.rawValue) }
}
