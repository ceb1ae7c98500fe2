import DequeModule
import Synchronization

/// Decides which traces are kept, and holds spans until they are sent.
///
/// Whoever records a span pays for a lock and a copy and never waits; when nobody takes the spans
/// away, new ones are dropped and counted.
package final class Tracer: Sendable {
    /// Share of the traces begun here that are kept.
    private let ratio: Double
    private let state = Mutex(State())

    private struct State {
        var waiting: Deque<Span> = []
        var statistics = TracerStatistics()
    }

    /// Spans that may wait.
    package static let limit = 8192

    package init(ratio: Double) { self.ratio = ratio }

    /// The place of a new span below the one that a `traceparent` names, else of a new trace.
    package func begin(below parent: TraceContext?) -> TraceContext {
        var generator = SystemRandomNumberGenerator()
        let span = SpanID(generator.next())
        if var context = parent {
            context.span = span
            return context
        }
        let low: UInt64 = generator.next()
        return TraceContext(
            traceHigh: generator.next(), traceLow: low, span: span,
            isSampled: Double(low >> 11) * 0x1p-53 < ratio)
    }

    /// Takes a span that has ended, unless its trace is not kept.
    package func record(_ span: Span) {
        guard span.context.isSampled else { return }
        state.withLock { state in
            if state.waiting.count < Self.limit {
                state.waiting.append(span)
            } else {
                state.statistics.dropped += 1
            }
        }
    }

    package var statistics: TracerStatistics { state.withLock { $0.statistics } }

    /// Takes out the oldest spans.
    func take(atMost count: Int) -> [Span] {
        state.withLock { state in
            let taken = Array(state.waiting.prefix(count))
            state.waiting.removeFirst(taken.count)
            return taken
        }
    }

    func note(exported: Int, dropped: Int) {
        state.withLock { state in
            state.statistics.exported += exported
            state.statistics.dropped += dropped
        }
    }
}

/// What has become of the spans recorded since the start.
package struct TracerStatistics: Sendable, Equatable {
    package var exported = 0
    /// For want of room, or refused by the collector.
    package var dropped = 0
}
