import Jobs
import Sockets
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

    /// Wakes all who wait for the job, which has ended.
    func tell(_ job: Job) {
        let told = waiters.withLock { $0.removeValue(forKey: job.id) } ?? []
        for waiter in told { waiter.resume(job) }
    }

    /// One who waits; is woken once, by the end or by the clock.
    final class Waiter: Sendable {
        private let state = Mutex(State.fresh)

        private enum State {
            case fresh
            case waiting(UnsafeContinuation<Job?, Never>)
            case over(Job?)
        }

        /// Waits for the job's end; nil when `seconds` have passed.
        func wait(seconds: Double, on loop: EventLoop) async -> Job? {
            loop.execute {
                loop.schedule(after: .microseconds(Int64(seconds * 1_000_000))) { self.resume(nil) }
            }
            return await withUnsafeContinuation { continuation in
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
