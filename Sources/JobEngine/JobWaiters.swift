import Jobs
import Synchronization

/// Those who wait for the end of a job.
final class JobWaiters: Sendable {
    private let waiters = Mutex<[JobID: [Waiter]]>([:])

    func register(_ id: JobID) -> Waiter {
        let waiter = Waiter()
        waiters.withLock { $0[id, default: []].append(waiter) }
        return waiter
    }

    func unregister(_ waiter: Waiter, _ id: JobID) {
        waiters.withLock { waiters in
            waiters[id]?.removeAll { $0 === waiter }
            if waiters[id]?.isEmpty == true { waiters[id] = nil }
        }
    }

    /// Whether somebody waits for the job.
    func has(_ id: JobID) -> Bool { waiters.withLock { $0[id] != nil } }

    /// Wakes all who wait for the job, which has ended.
    func tell(_ job: Job) {
        let told = waiters.withLock { waiters in
            waiters.isEmpty ? nil : waiters.removeValue(forKey: job.id)
        }
        for waiter in told ?? [] { waiter.resume(job) }
    }

    /// One who waits; is woken once, by the end, by the clock or by nobody's waiting any more.
    final class Waiter: Sendable {
        private let state = Mutex(State.fresh)

        private enum State {
            case fresh
            case waiting(UnsafeContinuation<Job?, Never>)
            case over(Job?)
        }

        /// Waits for the job's end; nil when `seconds` have passed or the task is cancelled.
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
