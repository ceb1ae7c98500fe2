import DequeModule
import Glibc
import Jobs
import RawJSON
import Sockets

/// A number of like workers and the calls that wait for one.
///
/// Everything here happens on the thread of the crew's loop.
final class WorkerFleet {
    private let size: Int
    private let callsPerWorker: Int
    /// Whether a worker runs one call at a time, in the order in which it was given them.
    private let isSerial: Bool
    private let loop: EventLoop
    private let kills: KernelKills
    private let crew: WorkerCrew
    private var waiting = Deque<CallTicket>()
    private var reserved = 0
    private var nextNumber = 1
    /// Seconds that a call of a function is expected to take: the latest long one, fading.
    private var estimates: [String: Double] = [:]

    /// Reserved or given, calls that take several slots.
    private var wideCalls = 0
    /// Calls that pay no heed and whose slots are in another worker now.
    private var moved = 0
    /// Calls that wait for other jobs and have lent their slots.
    private var waitingCalls = 0 {
        didSet { if isSerial { crew.size = size + waitingCalls } }
    }
    private var home: ServerHome?

    var onHello: ((RawJSON) -> Void)?
    /// There may be room, though no call has ended.
    var onRoom: (() -> Void)?

    /// - Parameters:
    ///   - size: workers.
    ///   - callsPerWorker: that it runs at once.
    ///   - isSerial: whether a worker runs its calls in the order in which it was given them.
    ///   - crew: of that size; its workers run what the fleet is given.
    ///   - kills: to tell how a worker ended.
    init(
        size: Int, callsPerWorker: Int, isSerial: Bool, crew: WorkerCrew, kills: KernelKills,
    ) {
        self.size = size
        self.callsPerWorker = callsPerWorker
        self.isSerial = isSerial
        self.crew = crew
        self.kills = kills
        loop = crew.loop
        crew.onStart = { [weak self] worker in self?.listen(to: worker) }
        crew.onHello = { [weak self] worker, hello in self?.greeted(hello, worker) }
        crew.onEnd = { [weak self] worker, end in self?.ended(worker, end) }
        crew.onFailure = { [weak self] why in self?.failWaiting(why) }
    }

    private func listen(to worker: WorkerProcess) {
        worker.onAnswer = { [weak self, unowned worker] ticket, outcome in
            self?.answered(worker, ticket, outcome)
        }
        worker.onWait = { [weak self, unowned worker] ticket, begins in
            self?.waits(worker, ticket, begins)
        }
    }

    var workerCount: Int { crew.all.count }
    /// Slots of the calls given to the fleet and not ended, without those that are lent.
    private(set) var running = 0
    var slots: Int { size * callsPerWorker }

    // MARK: Calls

    /// Takes a place for a call that will come by `run`; false when all is busy.
    func reserve(_ function: String, _ cpus: Int) -> Bool {
        let width = width(cpus)
        let load = running + reserved
        guard load + width <= slots || width == 1 && load < slots + prefetch(function) else {
            return false
        }
        reserved += width
        if width > 1 { wideCalls += 1 }
        return true
    }

    func giveBack(_ cpus: Int) {
        reserved = max(0, reserved - width(cpus))
        if width(cpus) > 1 { wideCalls = max(0, wideCalls - 1) }
    }

    /// Slots of a call; a fleet that is smaller than when the job came gives it all.
    private func width(_ cpus: Int) -> Int { min(cpus, slots) }

    /// How many calls more than it can run the fleet takes, so that no worker idles between two
    /// short ones: a few milliseconds of work for each worker that is not in a long call.
    private func prefetch(_ function: String) -> Int {
        guard isSerial, wideCalls == 0, let seconds = estimates[function],
            seconds < Self.short
        else { return 0 }
        let each = Int(min(Double(Self.lineLimit - 1), 2 * Self.short / max(seconds, 1e-5)))
        return each * crew.workers.count(where: takesAnother)
    }

    /// Seconds up to which a call is worth waiting behind.
    private static let short = 0.002
    /// Calls given to one worker that runs one at a time.
    private static let lineLimit = 17

    /// Whether a call may be given to the worker now.
    private func takesAnother(_ worker: WorkerProcess) -> Bool {
        guard worker.isReady, !worker.isRetiring, !worker.isDoomed, !worker.hasExited else {
            return false
        }
        if !isSerial { return worker.tickets.count - worker.waits < callsPerWorker }
        if worker.tickets.isEmpty { return true }
        guard worker.waits == 0 else { return false }
        if let most = crew.rules.maxCalls, worker.answered + worker.tickets.count >= most {
            return false
        }
        // Behind a call that is, or turns out to be, a long one nobody is made to wait.
        let isSoonFree = loop.now - worker.headSince < .milliseconds(5)
        return worker.longCalls == 0 && isSoonFree && worker.tickets.count < Self.lineLimit
    }

    /// Takes a call that there is a place for; `ended` is to follow its outcome.
    func begin(_ ticket: CallTicket) {
        let width = width(ticket.call.cpus)
        reserved = max(0, reserved - width)
        running += width
        crew.fill()
        place(ticket)
    }

    /// Gives back the place of a call that has its outcome.
    func ended(_ ticket: CallTicket, _ outcome: CallOutcome) {
        let width = width(ticket.call.cpus)
        if width > 1 { wideCalls = max(0, wideCalls - 1) }
        if ticket.isWaiting {
            waitHasEnded()
        } else if ticket.hasMoved {
            moved -= 1
        } else {
            running -= width
        }
        note(outcome, of: ticket)
    }

    private func note(_ outcome: CallOutcome, of ticket: CallTicket) {
        let name = ticket.call.function.name
        // All functions of the clients go by this name: nothing is known of the next one.
        if name == "martlet.call" { return }
        let faded = (estimates[name] ?? 0) * 0.75 + outcome.seconds * 0.25
        estimates[name] = max(outcome.seconds, faded)
    }

    /// Gives the call to a worker, or lets it wait for one behind those that wait already.
    private func place(_ ticket: CallTicket) {
        waiting.append(ticket)
        placeWaiting()
    }

    /// Gives the calls that wait to the workers that have room, in their order.
    ///
    /// A call for which a new worker is on its way is passed over: those behind it may have the workers
    /// that it cannot use. The new one is its own, for it is asked first again when that is ready.
    private func placeWaiting() {
        if waiting.isEmpty { return }
        var coming = crew.coming
        var index = 0
        while index < waiting.count {
            let ticket = waiting[index]
            switch place(for: ticket) {
            case .worker(let worker):
                waiting.remove(at: index)
                give(ticket, to: worker)
            case .nowhere: return
            case .full(let worker):
                if coming == 0 { crew.renew(worker) } else { coming -= 1 }
                index += 1
            }
        }
    }

    /// Where a call can go now.
    private enum Place {
        case worker(WorkerProcess)
        /// Only to workers, this one among them, that hold more memory than it may have.
        case full(WorkerProcess)
        case nowhere
    }

    /// The worker with the fewest calls of those that can take this one.
    private func place(for ticket: CallTicket) -> Place {
        let limits = ticket.call.limits
        var (chosen, full) = (WorkerProcess?.none, WorkerProcess?.none)
        // A worker started for a call that waits is no slot more when that goes on.
        let active = crew.workers.count { !$0.tickets.isEmpty && $0.waits == 0 }
        for worker in crew.workers where takesAnother(worker) && worker.canBound(limits) {
            if isSerial, worker.tickets.isEmpty, active >= size { continue }
            if let chosen, chosen.tickets.count <= worker.tickets.count { continue }
            // Its bound would end it, and the call be blamed for what others have left behind.
            if worker.holdsMore(than: limits) { full = worker } else { chosen = worker }
        }
        return chosen.map(Place.worker) ?? full.map(Place.full) ?? .nowhere
    }

    private func give(_ ticket: CallTicket, to worker: WorkerProcess) {
        ticket.isLong = (estimates[ticket.call.function.name] ?? 1) >= Self.short
        worker.send(ticket, number: nextNumber)
        nextNumber += 1
        startClock(isSerial ? worker.first : ticket)
    }

    /// Starts the clock of a call that now runs.
    private func startClock(_ ticket: CallTicket?) {
        guard let ticket, ticket.timer == nil, let seconds = ticket.call.timeout else { return }
        ticket.timer = loop.schedule(after: .microseconds(Int64(seconds * 1_000_000))) {
            self.stop(ticket, as: .timeout(seconds))
        }
    }

    /// Stops a call; it ends with `failure` when nothing of it runs any more.
    func stop(_ ticket: CallTicket, as failure: Failure) {
        if let index = waiting.firstIndex(where: { $0 === ticket }) {
            waiting.remove(at: index)
            ticket.fail(failure)
            return
        }
        guard ticket.stopping == nil,
            let worker = crew.all.first(where: { worker in
                worker.tickets[ticket.number] === ticket
            })
        else { return }
        ticket.stopping = failure
        if !isSerial {
            worker.cancel(ticket)
            insist(ticket, in: worker)
        } else if worker.first === ticket {
            terminate(worker)
        }
        // Else it is behind another call; `answered` ends it when its turn comes.
    }

    /// A polite signal, a grace period, then the end.
    private func terminate(_ worker: WorkerProcess) {
        worker.isDoomed = true
        worker.kill(SIGTERM)
        loop.schedule(after: .milliseconds(1000)) { worker.kill(SIGKILL) }
    }

    private func answered(_ worker: WorkerProcess, _ ticket: CallTicket, _ outcome: CallOutcome) {
        if let failure = ticket.stopping, case .failure(let answer) = outcome.value,
            answer.reason == .cancelled
        {
            ticket.fail(failure)
        } else {
            ticket.finish(outcome.blaming(worker.pid))
        }
        crew.retireIfWorn(worker)
        if !isSerial {
            endIfDeaf(worker)
        } else if let next = worker.first {
            if next.stopping != nil { terminate(worker) }
            startClock(next)
        }
        placeWaiting()
    }

    // MARK: Calls that pay no heed

    /// A thread or a coroutine cannot be killed, but its process can: after the grace period another
    /// worker takes its place, and it is ended as soon as no other call runs in it.
    private func insist(_ ticket: CallTicket, in worker: WorkerProcess) {
        ticket.timer?.cancel()
        ticket.timer = loop.schedule(after: CallTicket.grace) { [weak worker] in
            guard let worker, worker.tickets[ticket.number] === ticket else { return }
            ticket.paysNoHeed("Its worker is replaced, and ended when its other calls have ended.")
            // The slot is the new worker's, but not without bound: each old one has its process.
            if !ticket.isWaiting, self.moved < self.slots {
                self.moved += 1
                self.running -= self.width(ticket.call.cpus)
                ticket.hasMoved = true
            }
            self.crew.replace(worker)
            self.endIfDeaf(worker)
            self.onRoom?()
        }
    }

    /// Ends a worker in which nothing runs but calls that pay no heed.
    private func endIfDeaf(_ worker: WorkerProcess) {
        guard !worker.isDoomed, !worker.tickets.isEmpty,
            worker.tickets.values.allSatisfy(\.isDeaf)
        else { return }
        terminate(worker)
    }

    // MARK: Calls that wait for other jobs

    /// Calls that may wait for other jobs at once.
    ///
    /// Each keeps its process, or its thread of one. One more fails, so that those that wait for it
    /// come to an end.
    private var waitLimit: Int { isSerial ? 16 * size + 64 : max(1000, slots) }

    /// A call lends its slots while it waits for another job, which may need them.
    private func waits(_ worker: WorkerProcess, _ ticket: CallTicket, _ begins: Bool) {
        if begins, isSerial {
            // It may be one of these that the call waits for.
            for ticket in worker.takeBack().reversed() { waiting.prepend(ticket) }
        }
        guard begins != ticket.isWaiting, !ticket.hasMoved else { return }
        if begins, waitingCalls >= waitLimit {
            stop(ticket, as: .tooManyWaits(waitLimit))
            return
        }
        worker.setWaiting(ticket, begins)
        running += begins ? -width(ticket.call.cpus) : width(ticket.call.cpus)
        if begins {
            waitingCalls += 1
            if !waiting.isEmpty { crew.fill() }
            placeWaiting()
            onRoom?()
        } else {
            waitHasEnded()
        }
    }

    private func waitHasEnded() {
        waitingCalls -= 1
        crew.trimLater()
    }

    /// Tells the workers where this server is reached.
    func announce(_ home: ServerHome) {
        self.home = home
        for worker in crew.all where worker.isReady { worker.tell(home) }
    }

    // MARK: Workers

    func startWorkers() { crew.fill() }

    /// Lets new workers take over; the old ones finish the calls they have.
    func replaceWorkers() { crew.replaceAll() }

    private func greeted(_ hello: RawJSON, _ worker: WorkerProcess) {
        if let home { worker.tell(home) }
        onHello?(hello)
        placeWaiting()
    }

    private func ended(_ worker: WorkerProcess, _ end: ProcessEnd) {
        let tickets = worker.tickets.values.sorted { $0.number < $1.number }
        // Of a worker that runs one call at a time only the first was running: the others are
        // handed on, first in line, with no attempt counted.
        // So is the first one that has begun when the call to be stopped had just ended by itself.
        let isSpared = worker.isDoomed && tickets.first?.stopping == nil
        let ran = isSerial ? tickets.prefix(isSpared ? 0 : 1) : tickets[...]
        for ticket in ran {
            var failure = ticket.stopping ?? end.failure(within: ticket.call.limits, kills)
            failure.worker = Int(worker.pid)
            ticket.fail(failure)
        }
        for ticket in tickets.dropFirst(ran.count).reversed() {
            if let failure = ticket.stopping {
                ticket.fail(failure)  // it was cancelled before it began
            } else {
                waiting.prepend(ticket)
            }
        }
        placeWaiting()
    }

    private func failWaiting(_ why: String) {
        while let ticket = waiting.popFirst() {
            ticket.fail(
                Failure(
                    .unavailable, type: "WorkerStartError",
                    message: "No worker could be started: \(why)"))
        }
    }

    /// Kills all workers and waits until they are reaped, a few seconds at most.
    func stop() async {
        while let ticket = waiting.popFirst() { ticket.fail(.lost) }
        for ticket in crew.all.flatMap(\.tickets.values) {
            ticket.stopping = ticket.stopping ?? .lost
        }
        await crew.stop()
    }
}
