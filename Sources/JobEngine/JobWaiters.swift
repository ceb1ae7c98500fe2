import Jobs
import Synchronization

/// Those who wait for the end of a job.
final class JobWaiters: Sendable {
    private let state = Mutex(State())

    private struct State {
        var waiters: [JobID: [Waiter]] = [:]
        /// Whether no job will end any more.
        var isClosed = false
    }

    func register(_ id: JobID) -> Waiter {
        let waiter = Waiter()
        let isClosed = state.withLock { state in
            if !state.isClosed { state.waiters[id, default: []].append(waiter) }
            return state.isClosed
        }
        if isClosed { waiter.resume(nil) }
        return waiter
    }

    func unregister(_ waiter: Waiter, _ id: JobID) {
        state.withLock { state in
            state.waiters[id]?.removeAll { $0 === waiter }
            if state.waiters[id]?.isEmpty == true { state.waiters[id] = nil }
        }
    }

    /// Whether somebody waits for the job.
    func has(_ id: JobID) -> Bool { state.withLock { $0.waiters[id] != nil } }

    /// Wakes all who wait for the job, which has ended.
    func tell(_ job: Job) {
        let told = state.withLock { state in
            state.waiters.isEmpty ? nil : state.waiters.removeValue(forKey: job.id)
        }
        for waiter in told ?? [] { waiter.resume(job) }
    }

    /// Ends all waits, and those that are still to begin: no job will end any more.
    func close() {
        let left = state.withLock { state in
            state.isClosed = true
            defer { state.waiters = [:] }
            return state.waiters
        }
        for waiter in left.values.joined() { waiter.resume(nil) }
    }

    /// One who waits; is woken once, by the end, by the clock, by `close` or by nobody's waiting any more.
    final class Waiter: Sendable {
        private let state = Mutex(State.fresh)

        private enum State {
            case fresh
            case waiting(UnsafeContinuation<Job?, Never>)
            case over(Job?)
        }

        /// Waits for the job's end; nil when `seconds` have passed, no job will end any more or the
        /// task is cancelled.
        func wait(seconds: Double, by clock: WaitClock) async -> Job? {
            clock.start(self, seconds: seconds)
            defer {
                // The clock may keep this for as long as the client meant to wait, but not the
                // job and its result.
                state.withLock { $0 = .over(nil) }
                clock.waitHasEnded()
            }
            return await withTaskCancellationHandler {
                await untilOver()
            } onCancel: {
                resume(nil)
            }
        }

        var isOver: Bool { state.withLock { if case .over = $0 { true } else { false } } }

        private func untilOver() async -> Job? {
            await withUnsafeContinuation { continuation in
                let over: Job?? = state.withLock { state in
                    if case .over(let job) = state { return .some(job) }
                    state = .waiting(continuation)
                    return nil
                }
                if let over { continuation.resume(returning: over) }
            }
        }

        func resume(_ job: Job?) {
            let waiting: UnsafeContinuation<Job?, Never>? = state.withLock { state in
                defer { if case .over = state {} else { state = .over(job) } }
                if case .waiting(let continuation) = state { return continuation }
                return nil
            }
            waiting?.resume(returning: job)
        }
    }
}
