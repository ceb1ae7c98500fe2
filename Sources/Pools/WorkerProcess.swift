import CLinux
import DequeModule
import Glibc
import Jobs
import RawJSON
import Sockets
import Threads

/// One worker process and the line of calls given to it.
///
///     WorkerFleet ── send(ticket) ──► socket ──► worker
///                 ◄── onAnswer ────── socket ◄──
///                 ◄── onExit (tickets that it had stay in it)
///
/// `WorkerOutput` listens to its standard streams. A worker answers a call before it begins the next, so that the first call in the line is the
/// one that ran when the worker dies. Everything here happens on the thread of `loop`.
final class WorkerProcess: EventHandler {
    let pid: pid_t
    let cgroup: Cgroup?
    private let isSandboxed: Bool
    private let fd: Int32
    private let pidfd: Int32
    private let loop: EventLoop
    private let exitWatch: ExitWatch
    /// What it prints past its channel.
    private var outputs: [WorkerOutput] = []
    private let children: ChildProcesses
    private let spawner: ThreadExecutor
    private var inbox: [UInt8] = []
    private var outbox: [UInt8] = []
    private var sent = 0
    private var willFlush = false
    private var isWaitingToWrite = false
    /// Changes of its bounds that are on their way; until then it is sent nothing.
    private var changes = 0
    private let scratch = UnsafeMutableRawBufferPointer.allocate(
        byteCount: 64 << 10, alignment: 16)
    /// Set when it is reaped, a while before its fleet has done with it: it is given nothing more.
    private(set) var hasExited = false

    /// Calls given and not answered, by number; of one that has ended, those that it left.
    private(set) var tickets: [Int: CallTicket] = [:]
    /// How many of them may take long.
    private(set) var longCalls = 0
    /// When the oldest of them came to the front.
    private(set) var headSince = LoopInstant.current()
    private(set) var isReady = false
    /// Calls answered so far.
    private(set) var answered = 0
    /// Takes no new calls and is ended when it has answered the ones it has.
    private(set) var isRetiring = false
    /// Set when it is being killed for the sake of one call; no other call is to suffer for that.
    var isDoomed = false

    /// The memory that its calls may have, where it has a cgroup; nil for no bound.
    private(set) var memoryBytes: Int?

    /// What it held when it was last looked at, after so many answers.
    private var held: (after: Int, bytes: Int)?

    /// How many of its calls wait for other jobs.
    private(set) var waits = 0

    var onHello: ((RawJSON) -> Void)?
    /// A call begins to wait for another job, or goes on.
    var onWait: ((CallTicket, _ begins: Bool) -> Void)?
    var onAnswer: ((CallTicket, CallOutcome) -> Void)?
    /// How it ended; the calls in `tickets` are not answered any more.
    var onExit: ((ProcessEnd) -> Void)?

    /// - Parameters:
    ///   - started: taken over with its descriptors.
    ///   - runsOneCall: whether what it prints is of the first of its calls, however many it has.
    ///   - loop: on whose thread it lives.
    ///   - spawner: where what may block is done.
    ///   - children: of the server, among which it is.
    /// - Throws: when the loop cannot watch its descriptors.
    init(
        _ started: StartedWorker, runsOneCall: Bool, loop: EventLoop, spawner: ThreadExecutor,
        children: ChildProcesses,
    ) throws(SocketError) {
        pid = started.pid
        isSandboxed = started.isSandboxed
        cgroup = started.cgroup
        self.spawner = spawner
        fd = started.channel
        self.children = children
        self.loop = loop
        pidfd = clinux_pidfd_open(pid)
        exitWatch = ExitWatch()
        do throws(SocketError) {
            guard pidfd >= 0 else { throw .system("pidfd_open", -pidfd) }
            try loop.watch(fd, Self.events, handler: self)
            exitWatch.action = { [weak self] in self?.exited() }
            try loop.watch(pidfd, EPOLLIN.rawValue, handler: exitWatch)
            outputs = [
                try WorkerOutput(started.output, .stdout, loop: loop),
                try WorkerOutput(started.error, .stderr, loop: loop),
            ]
        } catch {
            hasExited = true
            for fd in [fd, pidfd, started.output, started.error] { loop.unwatch(fd) }
            if pidfd >= 0 { close(pidfd) }
            started.abandon(children)
            throw error
        }
        for output in outputs {
            output.source = { [weak self] in
                guard let self, runsOneCall || tickets.count == 1 else { return nil }
                return first?.call.source
            }
        }
    }

    deinit { scratch.deallocate() }

    private static let events = EPOLLIN.rawValue | EPOLLRDHUP.rawValue | EPOLLET.rawValue

    private final class ExitWatch: EventHandler {
        var action: (() -> Void)?
        func ready(_ events: UInt32) { action?() }
    }

    // MARK: Calls

    /// The oldest call; for workers that run one at a time, which have few.
    var first: CallTicket? { tickets.min { $0.key < $1.key }?.value }

    /// Whether a call's memory can be bounded without another call being under that bound, too.
    func canBound(_ limits: CallLimits) -> Bool {
        cgroup == nil || tickets.isEmpty || limits.memoryBytes == memoryBytes
    }

    /// Whether calls before have left it with more memory than one of these limits may have.
    func holdsMore(than limits: CallLimits) -> Bool {
        guard let cgroup, let most = limits.memoryBytes, most < memoryBytes ?? .max else {
            return false
        }
        // One that has just been started has what it must have.
        guard answered > 0 else { return false }
        // It is asked again and again while calls wait, and the kernel's answer may take long.
        if let held, held.after == answered, held.bytes > most { return true }
        let bytes = cgroup.anonymousBytes
        held = (answered, bytes)
        return bytes > most
    }

    func send(_ ticket: CallTicket, number: Int) {
        if tickets.isEmpty { headSince = loop.now }
        boundMemory(ticket.call.limits.memoryBytes)
        ticket.number = number
        tickets[number] = ticket
        if ticket.isLong { longCalls += 1 }
        append(ticket.line(number: number))
    }

    /// Asks the worker to stop one of its calls; the answer comes when it has ended.
    func cancel(_ ticket: CallTicket) {
        append(Array("{\"cancel\":\(ticket.number)}\n".utf8))
    }

    /// Takes back the calls behind the first one, which the worker will pass over: it reads past
    /// all that was sent before this.
    func takeBack() -> [CallTicket] {
        append(Array("{\"forget\":\(first?.number ?? 0)}\n".utf8))
        let behind = tickets.values.sorted { $0.number < $1.number }.dropFirst()
        for ticket in behind {
            tickets[ticket.number] = nil
            if ticket.isLong { longCalls -= 1 }
        }
        return Array(behind)
    }

    /// Notes that a call has begun to wait, or goes on.
    func setWaiting(_ ticket: CallTicket, _ isWaiting: Bool) {
        ticket.isWaiting = isWaiting
        waits += isWaiting ? 1 : -1
    }

    func tell(_ home: ServerHome) { append(home.line) }

    func retire() {
        isRetiring = true
        if tickets.isEmpty, !hasExited { shutdown(fd, Int32(SHUT_RDWR)) }
    }

    /// Bounds the memory of the worker and all that it has started, from the next message on.
    private func boundMemory(_ bytes: Int?) {
        guard let cgroup, bytes != memoryBytes else { return }
        memoryBytes = bytes
        changes += 1
        let (loop, box) = (loop, LoopConfined(self))
        spawner.execute {
            // One that was removed has nothing in it; the worker's own rlimit holds.
            try? cgroup.boundMemory(bytes)
            loop.execute {
                box.value.changes -= 1
                if !box.value.hasExited { box.value.flush() }
            }
        }
    }

    /// Sends a signal to the worker and all its children in its group.
    func kill(_ signal: Int32) {
        guard !hasExited else { return }
        // Any signal would end bubblewrap, and with it at once all that it runs.
        let isGentle = isSandboxed && signal != SIGKILL
        guard let group = isGentle ? ProcessTree.sandboxedGroup(of: pid) : pid else { return }
        Glibc.kill(-group, signal)
    }

    /// Bytes of memory that the worker has now.
    var residentBytes: Int {
        ProcessMemory.residentBytes(
            of: isSandboxed ? ProcessTree.sandboxed(in: pid) ?? pid : pid)
    }

    // MARK: Bytes

    /// Calls given in one round of the loop leave together.
    private func append(_ line: [UInt8]) {
        outbox += line
        guard !willFlush else { return }
        willFlush = true
        let box = LoopConfined(self)
        loop.execute {
            box.value.willFlush = false
            if !box.value.hasExited { box.value.flush() }
        }
    }

    private func flush() {
        guard changes == 0 else { return }
        while sent < outbox.count {
            let count = outbox.withUnsafeBytes {
                Glibc.send(
                    fd, $0.baseAddress.map { $0 + sent }, $0.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count > 0 {
                sent += count
            } else if errno == EAGAIN {
                return wakeWhenWritable(true)
            } else if errno != EINTR {
                return  // dead: the exit is seen by its own watch
            }
        }
        wakeWhenWritable(false)
        outbox.removeAll(keepingCapacity: outbox.count <= 64 << 10)
        sent = 0
    }

    /// Only while there is something to write: else each message that the worker reads would wake
    /// the loop.
    private func wakeWhenWritable(_ wanted: Bool) {
        guard wanted != isWaitingToWrite else { return }
        isWaitingToWrite = wanted
        loop.change(fd, wanted ? Self.events | EPOLLOUT.rawValue : Self.events)
    }

    func ready(_ events: UInt32) {
        if events & EPOLLOUT.rawValue != 0 { flush() }
        receive()
    }

    private func receive() {
        while true {
            let count = recv(fd, scratch.baseAddress, scratch.count, 0)
            guard count > 0 else { return }
            take(UnsafeRawBufferPointer(rebasing: scratch[..<count]))
            if count < scratch.count { return }
        }
    }

    /// Handles the lines that end in `piece` and keeps the beginning of the last one.
    private func take(_ piece: UnsafeRawBufferPointer) {
        var rest = piece[...]
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            inbox.append(contentsOf: rest[..<end])
            rest = rest[(end + 1)...]
            let line = inbox
            inbox = []
            handle(line)
        }
        inbox.append(contentsOf: rest)
    }

    private func handle(_ line: [UInt8]) {
        let message: RawJSON
        do throws(RawJSONError) {
            message = try RawJSON(validating: line)
        } catch {
            guard let number = Self.callAnswered(by: line), tickets[number] != nil else {
                kill(SIGKILL)  // a worker that does not speak the protocol; its calls are handed on
                return
            }
            // Where the line ends is known: the calls beside and behind this one go on.
            return finish(number, CallOutcome(unreadable: error))
        }
        let members = message.members()
        if let hello = members.first(where: { $0.name == "hello" })?.value {
            isReady = true
            onHello?(hello)
            return
        }
        if let report = WorkerReport(members) {
            if let source = tickets[report.call]?.call.source { report.tell(source) }
            return
        }
        if let first = members.first, first.name == "wait" || first.name == "go_on" {
            guard let ticket = first.value.int.flatMap({ tickets[$0] }) else { return }
            onWait?(ticket, first.name == "wait")
            return
        }
        guard let number = members.first(where: { $0.name == "call" })?.value.int,
            tickets[number] != nil
        else { return }
        finish(number, CallOutcome(answer: members))
    }

    private func finish(_ number: Int, _ outcome: CallOutcome) {
        // What was printed before the answer was sent is in the pipes by now.
        for output in outputs { output.drain() }
        guard let ticket = tickets.removeValue(forKey: number) else { return }
        answered += 1
        if ticket.isLong { longCalls -= 1 }
        if ticket.isWaiting { waits -= 1 }
        headSince = loop.now
        if isRetiring, tickets.isEmpty { shutdown(fd, Int32(SHUT_RDWR)) }
        onAnswer?(ticket, outcome)
    }

    /// The call that a line answers, be the rest of it JSON or not; nil if it begins otherwise.
    private static func callAnswered(by line: [UInt8]) -> Int? {
        let start = Array("{\"call\":".utf8)
        guard line.starts(with: start) else { return nil }
        let digits = line[start.count...].prefix { $0 != UInt8(ascii: ",") }
        return Int(String(decoding: digits, as: UTF8.self))
    }

    private func exited() {
        guard !hasExited else { return }
        receive()  // what it said before its end counts
        let end = children.reap(pid)
        kill(SIGKILL)  // children that it left behind in its group
        hasExited = true
        for output in outputs {
            output.drain()
            output.close()
        }
        loop.unwatch(fd)
        loop.unwatch(pidfd)
        close(fd)
        close(pidfd)
        exitWatch.action = nil
        onExit?(end)
    }
}
