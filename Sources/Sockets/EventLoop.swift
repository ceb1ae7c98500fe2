import CLinux
import Glibc
import Synchronization
import Threads

/// One thread that waits for descriptors, timers and work, and runs Swift tasks in between.
///
///     epoll_wait ──► handlers of ready descriptors ──► due timers ──► queued tasks and closures ─┐
///         ▲                                                                                    │
///         └────────────────────────────────────────────────────────────────────────────────────┘
///
/// A loop is a task executor and has a serial executor: tasks that prefer it, and actors that name
/// it, run on its thread and nowhere else, so that straight-line `async` code costs no thread hop.
/// The two are two objects because the runtime takes a job that runs for an actor's executor to be
/// elsewhere than one that runs for a task's, and would queue it again at each call between functions.
/// Work queued from the loop's own thread is an array append; from another thread it takes a lock
/// and, if the loop had nothing queued, one write to an eventfd.
package final class EventLoop: TaskExecutor, @unchecked Sendable {
    // Unchecked: `inbox` has its mutex, `thread` is atomic; all other state belongs to the loop's thread.
    private let epoll: Int32
    private let wakeup: Int32
    private let inbox = Mutex(Inbox())
    private let thread = Atomic<UInt>(0)

    private var local: [Work] = []
    private var watches: [Watch?] = []
    private var generation: UInt32 = 0
    private var timers = TimerHeap()
    private let serial = LoopSerialExecutor()

    /// The time when the loop last woke, from the monotonic clock.
    package private(set) var now = LoopInstant.current()

    enum Work {
        case job(UnownedJob)
        /// A job of an actor on the loop.
        case isolated(UnownedJob)
        case closure(@Sendable () -> Void)
    }

    private struct Inbox {
        var work: [Work] = []
        var isStopping = false
        var hasEnded = false
    }

    private struct Watch {
        let generation: UInt32
        let handler: any EventHandler
    }

    /// Makes loops that share work of the same kind: `http-0`, `http-1` and so on.
    ///
    /// - Parameters:
    ///   - name: of the threads, before their number.
    ///   - count: how many they are.
    ///   - areApart: whether each is kept on a CPU of its own, if there are just as many as the process
    ///     may use: else two that are busy meet on one CPU again and again, and what they serve waits for
    ///     the scheduler's ticks.
    /// - Returns: the loops in order.
    /// - Throws: `SocketError.system` when the kernel gives no descriptor.
    package static func group(
        _ name: String, count: Int, areApart: Bool,
    ) throws(SocketError) -> [EventLoop] {
        let areKept = areApart && count == Int(clinux_affinity_cpus())
        var loops: [EventLoop] = []
        for index in 0..<count {
            loops.append(try EventLoop(name: "\(name)-\(index)", onCPU: areKept ? index : nil))
        }
        return loops
    }

    /// Makes the loop and starts its thread.
    ///
    /// - Parameters:
    ///   - name: of the thread.
    ///   - onCPU: the one of the CPUs that the process may use, counted from 0, on which the thread is
    ///     kept; nil for all. Where the system does not allow it, it is not.
    /// - Throws: `SocketError.system` when the kernel gives no descriptor.
    package init(name: String, onCPU: Int? = nil) throws(SocketError) {
        epoll = clinux_epoll_create()
        guard epoll >= 0 else { throw .system("epoll_create1", -epoll) }
        wakeup = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard wakeup >= 0 else {
            close(epoll)
            throw .system("eventfd", errno)
        }
        let failure = clinux_epoll_control(
            epoll, EPOLL_CTL_ADD, wakeup, EPOLLIN.rawValue, Self.wakeupToken)
        guard failure == 0 else {
            close(epoll)
            close(wakeup)
            throw .system("epoll_ctl", -failure)
        }
        serial.loop = self
        startThread(name) {
            if let onCPU { _ = clinux_stay_on_cpu(Int32(onCPU)) }
            self.run()
        }
    }

    deinit {
        close(epoll)
        close(wakeup)
    }

    private static let wakeupToken = UInt64.max

    /// Events of one turn behind which others may have the core first.
    ///
    /// A loop that always finds something to do would keep its core until the scheduler's next tick but
    /// one, some 8 ms, for which a client or a worker on the same machine waits that has its answer long
    /// since. A loop with a client or two at a time sleeps, and is sooner awake than one that has ceded its core.
    private static let crowd: Int32 = 3

    /// Whether the caller runs on the loop's thread.
    package var isCurrent: Bool { thread.load(ordering: .relaxed) == UInt(pthread_self()) }

    // MARK: Work

    package func enqueue(_ job: consuming ExecutorJob) {
        submit(.job(UnownedJob(job)))
    }

    /// For actors that live on the loop; the loop is to outlive them.
    package func asUnownedSerialExecutor() -> UnownedSerialExecutor {
        serial.asUnownedSerialExecutor()
    }

    /// Runs a closure on the loop's thread, after what was queued before it.
    package func execute(_ body: @escaping @Sendable () -> Void) {
        submit(.closure(body))
    }

    /// Ends the loop's thread after what is queued has run.
    ///
    /// Later work is dropped.
    package func stop() {
        inbox.withLock { $0.isStopping = true }
        wake()
    }

    fileprivate func submit(_ work: Work) {
        if isCurrent {
            local.append(work)
            return
        }
        let wasEmpty = inbox.withLock { inbox in
            guard !inbox.hasEnded else { return false }
            inbox.work.append(work)
            return inbox.work.count == 1
        }
        if wasEmpty { wake() }
    }

    private func wake() {
        var one: UInt64 = 1
        // A full counter means that a wake-up is pending already.
        _ = write(wakeup, &one, 8)
    }

    // MARK: Timers

    /// Calls `body` on the loop's thread once, not before `delay` has passed.
    ///
    /// To be called on the loop's thread. The timer is dropped by `cancel()`, not by releasing it.
    @discardableResult
    package func schedule(after delay: Duration, _ body: @escaping () -> Void) -> LoopTimer {
        assert(isCurrent)
        let timer = LoopTimer(deadline: LoopInstant.current() + delay, loop: self, body: body)
        timers.insert(timer)
        return timer
    }

    func timerCancelled() { timers.noteCancelled() }

    // MARK: Descriptors

    /// Tells `handler` of the events of epoll_ctl(2) on `fd`: of each once if EPOLLET is among them.
    ///
    /// To be called on the loop's thread.
    ///
    /// - Throws: `SocketError.system` when the kernel refuses the descriptor.
    package func watch(
        _ fd: Int32, _ events: UInt32, handler: any EventHandler,
    ) throws(SocketError) {
        assert(isCurrent)
        generation &+= 1
        let index = Int(fd)
        while watches.count <= index { watches.append(nil) }
        watches[index] = Watch(generation: generation, handler: handler)
        let token = UInt64(generation) << 32 | UInt64(UInt32(bitPattern: fd))
        let result = clinux_epoll_control(epoll, EPOLL_CTL_ADD, fd, events, token)
        guard result == 0 else {
            watches[index] = nil
            throw .system("epoll_ctl", -result)
        }
    }

    /// Changes what a watched descriptor is watched for.
    package func change(_ fd: Int32, _ events: UInt32) {
        assert(isCurrent)
        guard watches.indices.contains(Int(fd)), let watch = watches[Int(fd)] else { return }
        let token = UInt64(watch.generation) << 32 | UInt64(UInt32(bitPattern: fd))
        _ = clinux_epoll_control(epoll, EPOLL_CTL_MOD, fd, events, token)
    }

    /// Forgets a descriptor; call it before closing the descriptor.
    package func unwatch(_ fd: Int32) {
        assert(isCurrent)
        guard watches.indices.contains(Int(fd)), watches[Int(fd)] != nil else { return }
        watches[Int(fd)] = nil
        _ = clinux_epoll_control(epoll, EPOLL_CTL_DEL, fd, 0, 0)
    }

    /// Forgets a descriptor that is closed next, which takes it from the kernel's list too.
    package func forget(_ fd: Int32) {
        assert(isCurrent)
        if watches.indices.contains(Int(fd)) { watches[Int(fd)] = nil }
    }

    // MARK: The loop

    private func run() {
        thread.store(UInt(pthread_self()), ordering: .relaxed)
        // `sendfile` and OpenSSL have no flag against the signal, which tells nothing that the error does not.
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGPIPE)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        let capacity = 256
        let events = UnsafeMutablePointer<epoll_event>.allocate(capacity: capacity)
        defer { events.deallocate() }
        var count: Int32 = 0
        while true {
            if count >= Self.crowd { sched_yield() }
            count = epoll_wait(epoll, events, Int32(capacity), waitMilliseconds())
            now = .current()
            for index in 0..<max(0, Int(count)) { dispatch(events[index]) }
            for timer in timers.takeDue(at: now) { timer.fire() }
            guard takeInbox() else { return letGo() }
            runLocal()
        }
    }

    /// Drops the handlers and timers that nobody has taken back: most of them hold the loop.
    private func letGo() {
        let (handlers, pending) = (watches, timers)
        // Emptied first: what is freed may ask the loop to forget it.
        (watches, timers) = ([], TimerHeap())
        pending.drop()
        withExtendedLifetime(handlers) {}
    }

    private func waitMilliseconds() -> Int32 {
        if !local.isEmpty { return 0 }
        guard let deadline = timers.next else { return -1 }
        return deadline.millisecondsFromNow()
    }

    private func dispatch(_ event: epoll_event) {
        let token = event.data.u64
        if token == Self.wakeupToken {
            var count: UInt64 = 0
            _ = read(wakeup, &count, 8)
            return
        }
        let index = Int(token & 0xffff_ffff)
        // A handler that ran before in this batch may have closed and reopened the descriptor.
        guard let watch = watches[index], watch.generation == UInt32(token >> 32) else { return }
        watch.handler.ready(event.events)
    }

    /// Moves what others have queued to the local queue; false when the loop is to end.
    private func takeInbox() -> Bool {
        inbox.withLock { inbox in
            if local.isEmpty {
                swap(&local, &inbox.work)
            } else {
                local.append(contentsOf: inbox.work)
                inbox.work.removeAll(keepingCapacity: true)
            }
            inbox.hasEnded = inbox.isStopping && local.isEmpty
            return !inbox.hasEnded
        }
    }

    /// Runs what is queued and, for a few rounds, what that adds: a job's next steps need no look
    /// at the descriptors in between, but a task that queues itself for ever must not hide them.
    private func runLocal() {
        for _ in 0..<8 where !local.isEmpty { runBatch() }
    }

    private func runBatch() {
        var batch: [Work] = []
        swap(&batch, &local)
        let serial = asUnownedSerialExecutor()
        let executor = asUnownedTaskExecutor()
        for work in batch {
            switch work {
            case .job(let job): job.runSynchronously(on: executor)
            case .isolated(let job):
                job.runSynchronously(isolatedTo: serial, taskExecutor: executor)
            case .closure(let body): body()
            }
        }
        if local.isEmpty {
            batch.removeAll(keepingCapacity: true)
            swap(&batch, &local)
        }
    }
}

/// What actors on a loop name as their executor.
private final class LoopSerialExecutor: SerialExecutor, @unchecked Sendable {
    // Unchecked: set once, before the loop is known to anyone.
    unowned(unsafe) var loop: EventLoop?

    func enqueue(_ job: consuming ExecutorJob) { loop?.submit(.isolated(UnownedJob(job))) }

    func checkIsolated() { precondition(loop?.isCurrent == true, "not on the event loop's thread") }

    func isIsolatingCurrentContext() -> Bool? { loop?.isCurrent }
}

/// Something that wants to know when its descriptor can be used; called on the loop's thread.
package protocol EventHandler: AnyObject {
    /// `events` holds the bits of `epoll_ctl(2)`.
    func ready(_ events: UInt32)
}
