import DequeModule
import Glibc

/// A fixed number of threads that run Swift tasks and closures, and may block.
///
/// Everything that must not run on an event loop or on Swift's cooperative threads is sent here:
/// SQLite, process starts, native functions. Work is taken in order; with one thread it is a
/// serial queue. Threads end after `stop()`, once the work already queued is done.
package final class ThreadExecutor: TaskExecutor, @unchecked Sendable {
    // Unchecked: `queue`, `stopping`, `sleeping`, `running` and `surplus` are touched only with `lock` held.
    private let lock: UnsafeMutablePointer<pthread_mutex_t>
    private let wake: UnsafeMutablePointer<pthread_cond_t>
    private let ended: UnsafeMutablePointer<pthread_cond_t>
    private var queue = Deque<Work>()
    private var stopping = false
    private var sleeping = 0
    private var running: Int
    /// Threads that are to end as soon as they have nothing in hand.
    private var surplus = 0
    private let name: String

    private enum Work {
        case job(UnownedJob)
        case closure(@Sendable () -> Void)
    }

    /// Starts the threads.
    ///
    /// - Parameters:
    ///   - name: of the threads.
    ///   - threads: how many, at least 1.
    package init(name: String, threads: Int) {
        lock = .allocate(capacity: 1)
        wake = .allocate(capacity: 1)
        ended = .allocate(capacity: 1)
        running = max(1, threads)
        self.name = name
        pthread_mutex_init(lock, nil)
        pthread_cond_init(wake, nil)
        pthread_cond_init(ended, nil)
        for _ in 0..<max(1, threads) {
            startThread(name) { self.run() }
        }
    }

    deinit {
        // The threads hold it while they run: there is none any more.
        pthread_mutex_destroy(lock)
        pthread_cond_destroy(wake)
        pthread_cond_destroy(ended)
        lock.deallocate()
        wake.deallocate()
        ended.deallocate()
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        push(.job(UnownedJob(job)))
    }

    /// Runs a closure on one of the threads, after what was queued before it.
    package func execute(_ body: @escaping @Sendable () -> Void) {
        push(.closure(body))
    }

    /// Starts a thread more, for one that is held by work that does not end.
    ///
    /// - Returns: false when the system gives no thread.
    package func addThread() -> Bool {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        guard tryThread(name, { self.run() }) == 0 else { return false }
        running += 1
        return true
    }

    /// Ends the thread that has nothing in hand first; the others do its work.
    package func removeThread() {
        pthread_mutex_lock(lock)
        surplus += 1
        pthread_cond_broadcast(wake)
        pthread_mutex_unlock(lock)
    }

    /// Ends the threads when the queue is empty; does not wait for it.
    package func stop() {
        pthread_mutex_lock(lock)
        stopping = true
        pthread_cond_broadcast(wake)
        pthread_mutex_unlock(lock)
    }

    /// Ends the threads when the queue is empty, and waits until they have.
    ///
    /// It blocks the caller, and never returns on one of the threads themselves.
    package func finish() {
        stop()
        pthread_mutex_lock(lock)
        while running > 0 { pthread_cond_wait(ended, lock) }
        pthread_mutex_unlock(lock)
    }

    private func push(_ work: Work) {
        pthread_mutex_lock(lock)
        queue.append(work)
        let someoneSleeps = sleeping > 0
        pthread_mutex_unlock(lock)
        if someoneSleeps { pthread_cond_signal(wake) }
    }

    private func next() -> Work? {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        while true {
            if surplus > 0 {
                surplus -= 1
                return nil
            }
            if !queue.isEmpty { break }
            if stopping { return nil }
            sleeping += 1
            pthread_cond_wait(wake, lock)
            sleeping -= 1
        }
        return queue.popFirst()
    }

    private func run() {
        let executor = asUnownedTaskExecutor()
        while let work = next() {
            switch work {
            case .job(let job): job.runSynchronously(on: executor)
            case .closure(let body): body()
            }
        }
        pthread_mutex_lock(lock)
        running -= 1
        pthread_cond_broadcast(ended)
        pthread_mutex_unlock(lock)
    }
}
