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

    private struct State {
        var waits = Heap<Wait>()
        /// How many of them have ended before their time.
        var ended = 0
        /// When the timer fires that is to come first; nil when there is none.
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
        if isNext { loop.execute { self.schedule(deadline) } }
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

    private func schedule(_ deadline: LoopInstant) {
        let delay = max(.zero, deadline - .current())
        loop.schedule(after: delay) { self.fire(deadline) }
    }

    private func fire(_ deadline: LoopInstant) {
        let (due, next) = state.withLock { state -> ([JobWaiters.Waiter], LoopInstant?) in
            // An earlier one has come after this timer was set, and takes care of all.
            guard state.next == deadline else { return ([], nil) }
            Self.tidy(&state)
            let now = LoopInstant.current()
            var due: [JobWaiters.Waiter] = []
            while let first = state.waits.min, first.deadline <= now {
                due.append(first.waiter)
                state.waits.removeMin()
            }
            state.next = state.waits.min?.deadline
            return (due, state.next)
        }
        for waiter in due { waiter.resume(nil) }
        if let next { schedule(next) }
    }
}
