import CLinux
import DequeModule
import Glibc
import Jobs
import RawJSON
import Sockets

/// One worker process and the line of calls given to it.
///
///     WorkerFleet ── send(ticket) ──► socket ──► worker
///                 ◄── onAnswer ────── socket ◄──
///                 ◄── onExit (tickets that it had, the running one first)
///
/// A worker answers a call before it begins the next, so that the first call in the line is the
/// one that ran when the worker dies. Everything here happens on the thread of `loop`.
final class WorkerProcess: EventHandler {
    let pid: pid_t
    private let fd: Int32
    private let pidfd: Int32
    private let loop: EventLoop
    private let exitWatch: ExitWatch
    private let children: ChildProcesses
    private var inbox: [UInt8] = []
    private var outbox: [UInt8] = []
    private var sent = 0
    private var willFlush = false
    private var isWaitingToWrite = false
    private let scratch = UnsafeMutableRawBufferPointer.allocate(
        byteCount: 64 << 10, alignment: 16)
    private var hasExited = false

    /// Calls given and not answered, by number.
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

    var onHello: ((RawJSON) -> Void)?
    var onAnswer: ((CallTicket, CallOutcome) -> Void)?
    /// The calls it had not answered, the one it ran first, and how it ended.
    var onExit: (([CallTicket], ProcessEnd) -> Void)?

    /// Takes over a process that has been started with the other end of `fd` as its channel.
    init(pid: pid_t, fd: Int32, loop: EventLoop, children: ChildProcesses) throws(SocketError) {
        self.pid = pid
        self.children = children
        self.fd = fd
        self.loop = loop
        pidfd = clinux_pidfd_open(pid)
        guard pidfd >= 0 else { throw .system("pidfd_open", -pidfd) }
        exitWatch = ExitWatch()
        try loop.watch(fd, Self.events, handler: self)
        exitWatch.action = { [weak self] in self?.exited() }
        try loop.watch(pidfd, EPOLLIN.rawValue, handler: exitWatch)
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

    func send(_ ticket: CallTicket, number: Int) {
        if tickets.isEmpty { headSince = loop.now }
        ticket.number = number
        tickets[number] = ticket
        if ticket.isLong { longCalls += 1 }
        append(ticket.line(number: number))
    }

    /// Asks the worker to stop one of its calls; the answer comes when it has ended.
    func cancel(_ ticket: CallTicket) {
        append(Array("{\"cancel\":\(ticket.number)}\n".utf8))
    }

    func retire() {
        isRetiring = true
        if tickets.isEmpty { shutdown(fd, Int32(SHUT_RDWR)) }
    }

    /// Sends a signal to the worker and all its children in its group.
    func kill(_ signal: Int32) {
        if !hasExited { Glibc.kill(-pid, signal) }
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
        guard let message = try? RawJSON(validating: line) else {
            kill(SIGKILL)  // a worker that does not speak the protocol; its calls are handed on
            return
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
        guard let number = members.first(where: { $0.name == "call" })?.value.int,
            let ticket = tickets.removeValue(forKey: number)
        else { return }
        answered += 1
        if ticket.isLong { longCalls -= 1 }
        headSince = loop.now
        if isRetiring, tickets.isEmpty { shutdown(fd, Int32(SHUT_RDWR)) }
        onAnswer?(ticket, CallOutcome(answer: members))
    }

    private func exited() {
        guard !hasExited else { return }
        receive()  // what it said before its end counts
        let end = children.reap(pid)
        kill(SIGKILL)  // children that it left behind in its group
        hasExited = true
        loop.unwatch(fd)
        loop.unwatch(pidfd)
        close(fd)
        close(pidfd)
        exitWatch.action = nil
        let left = tickets.values.sorted { $0.number < $1.number }
        tickets = [:]
        onExit?(left, end)
    }
}
