import HeapModule
import Jobs
import Sockets
import Synchronization

/// Ends the waits whose time is over.
///
/// One timer serves them all. The loop hears of a wait only if it may end before that timer fires,
/// so that most clients who wait for a job wake the engine neither at the beginning nor at the end.
final class WaitClock: Sendable {
    private let loop: EventLoop
    private let state = Mutex(State())
    /// The one timer, and the deadline for which it is set; for the loop's thread alone.
    private nonisolated(unsafe) var timer: (deadline: LoopInstant, timer: LoopTimer)?

    private struct State {
        var waits = Heap<Wait>()
        /// How many of them have ended before their time.
        var ended = 0
        /// When the timer is to fire, of which the loop may still have to hear; nil when not.
        var next: LoopInstant?
    }

    private struct Wait: Comparable {
        let deadline: LoopInstant
        let waiter: JobWaiters.Waiter

        static func < (left: Wait, right: Wait) -> Bool { left.deadline < right.deadline }

        static func == (left: Wait, right: Wait) -> Bool { left.deadline == right.deadline }
    }

    /// Waits that have ended and are kept all the same, so that not each end looks at all.
    private static let slack = 256

    init(on loop: EventLoop) { self.loop = loop }

    /// Ends a wait when `seconds` have passed; `waitHasEnded` is to follow.
    func start(_ waiter: JobWaiters.Waiter, seconds: Double) {
        let deadline = LoopInstant.current() + .microseconds(Int64(seconds * 1_000_000))
        let isNext = state.withLock { state in
            state.waits.insert(Wait(deadline: deadline, waiter: waiter))
            if let next = state.next, next <= deadline { return false }
            state.next = deadline
            return true
        }
        if isNext { loop.execute { self.setTimer() } }
    }

    func waitHasEnded() {
        state.withLock { state in
            state.ended += 1
            if state.ended > Self.slack, state.ended > state.waits.count / 2 { Self.tidy(&state) }
        }
    }

    private static func tidy(_ state: inout State) {
        state.waits = Heap(state.waits.unordered.filter { !$0.waiter.isOver })
        state.ended = 0
    }

    /// Sets the timer for the deadline that is the next now, whatever it was set for.
    private func setTimer() {
        let next = state.withLock { $0.next }
        if timer?.deadline == next { return }
        timer?.timer.cancel()
        timer = next.map { deadline in
            let delay = max(.zero, deadline - .current())
            return (deadline, loop.schedule(after: delay) { self.fire() })
        }
    }

    private func fire() {
        timer = nil
        let due = state.withLock { state in
            Self.tidy(&state)
            let now = LoopInstant.current()
            var due: [JobWaiters.Waiter] = []
            while let first = state.waits.min, first.deadline <= now {
                due.append(first.waiter)
                state.waits.removeMin()
            }
            state.next = state.waits.min?.deadline
            return due
        }
        setTimer()
        for waiter in due { waiter.resume(nil) }
    }
}
