import Sockets

/// By when more of a request's body must have come.
///
/// What counts is the time in which the server waited for the client, not that in which a handler
/// made the client wait.
struct BodyClock {
    /// Whether it may come as slowly as whatever makes it.
    var isLive: Bool
    /// Bytes that have come.
    private(set) var received = 0
    /// Waited before `waitsSince`.
    private var waited = Duration.zero
    /// Since when the server has waited for the next bytes; nil while it does not.
    private(set) var waitsSince: LoopInstant?

    init(isLive: Bool = false) { self.isLive = isLive }

    /// Begins to wait, unless it waits already.
    mutating func begin(_ now: LoopInstant) {
        if waitsSince == nil { waitsSince = now }
    }

    /// Ends the wait, since `bytes` have come or nothing more is wanted.
    mutating func end(_ now: LoopInstant, bytes: Int = 0) {
        received += bytes
        guard let since = waitsSince else { return }
        waited += now - since
        waitsSince = nil
    }

    /// Lets the wait begin anew.
    mutating func forgive(_ now: LoopInstant) {
        if waitsSince != nil { waitsSince = now }
    }

    /// What the client meets if it sends nothing more; nil while it is not waited for.
    ///
    /// A live body may be silent as long as a connection may be idle. Any other has a grace and then
    /// a rate on the whole; and, lest one that came fast be silent for hours, a time between two
    /// pieces.
    func bound(_ settings: HTTPServerConfiguration) -> Bound? {
        guard let waitsSince else { return nil }
        if isLive {
            return Bound(deadline: waitsSince + settings.idleTimeout, counter: .limitBodyRate)
        }
        let seconds = Double(received) / Double(max(1, settings.bodyRate))
        let rate = settings.bodyGrace + .seconds(seconds) - waited
        return rate < settings.bodyTimeout
            ? Bound(deadline: waitsSince + rate, counter: .limitBodyRate)
            : Bound(deadline: waitsSince + settings.bodyTimeout, counter: .limitBodyTime)
    }

    struct Bound {
        let deadline: LoopInstant
        let counter: HTTPServerStatistics.Counter
    }
}
