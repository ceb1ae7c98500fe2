import HeapModule
import Glibc

/// A point of the monotonic clock, in nanoseconds.
package struct LoopInstant: Comparable, Sendable {
    package let nanoseconds: Int64

    /// Later than any other.
    package static let never = LoopInstant(nanoseconds: .max)

    package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    package static func current() -> LoopInstant {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return LoopInstant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    package static func < (left: LoopInstant, right: LoopInstant) -> Bool {
        left.nanoseconds < right.nanoseconds
    }

    /// A later point; a sum past the end of the clock (292 years) stays at its end.
    package static func + (instant: LoopInstant, duration: Duration) -> LoopInstant {
        instant + LoopTime(duration)
    }

    package static func + (instant: LoopInstant, time: LoopTime) -> LoopInstant {
        let (sum, overflow) = instant.nanoseconds.addingReportingOverflow(time.nanoseconds)
        return LoopInstant(nanoseconds: overflow ? .max : sum)
    }

    package static func - (later: LoopInstant, earlier: LoopInstant) -> Duration {
        .nanoseconds(later.nanoseconds(since: earlier))
    }

    package func nanoseconds(since earlier: LoopInstant) -> Int64 {
        nanoseconds - earlier.nanoseconds
    }

    /// Whole milliseconds until then, rounded up, at least 0 and at most a minute.
    func millisecondsFromNow() -> Int32 {
        let left = nanoseconds - LoopInstant.current().nanoseconds
        guard left > 0 else { return 0 }
        return Int32(min((left + 999_999) / 1_000_000, 60_000))
    }
}

/// A length of time ready to be added: a `Duration` is 128 bits wide and wants to be divided first.
package struct LoopTime: Sendable {
    let nanoseconds: Int64

    /// At most 285 years.
    package init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        nanoseconds =
            seconds < 9_000_000_000 ? seconds * 1_000_000_000 + attoseconds / 1_000_000_000 : .max
    }
}

/// A call that an event loop will make later, unless it is cancelled; for the loop's thread only.
package final class LoopTimer {
    let deadline: LoopInstant
    // Its loop drops it before it goes itself. A weak reference would make every retain of the loop
    // take the slow path, by a side table.
    private unowned let loop: EventLoop
    private var body: (() -> Void)?

    init(deadline: LoopInstant, loop: EventLoop, body: @escaping () -> Void) {
        self.deadline = deadline
        self.loop = loop
        self.body = body
    }

    var isCancelled: Bool { body == nil }

    /// Drops the call; does nothing when it was made already.
    package func cancel() {
        guard body != nil else { return }
        body = nil
        loop.timerCancelled()
    }

    /// Forgets the call, as the loop ends.
    fileprivate func drop() { body = nil }

    func fire() {
        let body = self.body
        self.body = nil
        body?()
    }
}

/// The timers of a loop, the earliest first.
///
/// Cancelled timers are left in place and swept when they are the majority, so that cancelling is
/// cheap and a million short jobs with long time-outs do not pile up.
struct TimerHeap {
    private var heap = Heap<Entry>()
    private var cancelled = 0

    private struct Entry: Comparable {
        let timer: LoopTimer

        static func < (left: Entry, right: Entry) -> Bool {
            left.timer.deadline < right.timer.deadline
        }

        static func == (left: Entry, right: Entry) -> Bool {
            left.timer.deadline == right.timer.deadline
        }
    }

    var next: LoopInstant? { heap.min?.timer.deadline }

    mutating func insert(_ timer: LoopTimer) { heap.insert(Entry(timer: timer)) }

    mutating func noteCancelled() {
        cancelled += 1
        guard cancelled > 256, cancelled > heap.count / 2 else { return }
        heap = Heap(heap.unordered.filter { !$0.timer.isCancelled })
        cancelled = 0
    }

    /// Forgets all calls; what that frees may cancel others of them.
    func drop() {
        for entry in heap.unordered { entry.timer.drop() }
    }

    /// Takes out the timers due at `now`, in order, the cancelled left out.
    mutating func takeDue(at now: LoopInstant) -> [LoopTimer] {
        var due: [LoopTimer] = []
        while let first = heap.min, first.timer.deadline <= now {
            heap.removeMin()
            if first.timer.isCancelled {
                cancelled = max(0, cancelled - 1)
            } else {
                due.append(first.timer)
            }
        }
        return due
    }
}
