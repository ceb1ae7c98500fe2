import HTTPWire
import Sockets

/// Somebody for whom a loop holds memory: a connection, or one stream of it.
protocol MemoryHolder: AnyObject {
    /// Bytes of bodies, answers and coders.
    var heldBytes: Int { get }
    /// Since when the client has taken, or sent, nothing; `never` while it is not what is waited for.
    var stalledSince: LoopInstant { get }
    /// Lets go of what is held, at once, and breaks off with the client.
    func giveUp()
}

/// What is held for one connection, by what for.
struct HeldParts {
    /// Of answers, written and not sent.
    var output = 0
    /// The piece of an answer that is being sent.
    var piece = 0
    /// The body that is being collected.
    var body = 0
    /// What compresses its answer.
    var coder = 0

    var sum: Int { output + piece + body + coder }
}

/// The one account of what a loop holds for its clients, who may be as slow as they like.
///
///     ClientStream ──┐                                       ┌──► ClientStream.giveUp
///     HTTP2Stream ───┴─ hold(±bytes) ──► sum ──► relieve ────┴──► HTTP2Stream.giveUp
///
/// To count is an addition. Who is to be given up is found among all when there is too much.
extension ServerLoop {
    /// Notes that more is held, or less where `bytes` is below 0.
    func hold(_ bytes: Int) { counters.add(.heldBytes, bytes) }

    private var heldBytes: Int { counters.value(.heldBytes) }

    /// Gives up those who have moved nothing for longest while too much is held.
    ///
    /// To be called when more has come to be held, by whoever can stand to be given up itself.
    func relieve() {
        let limit = settings.heldBytes
        guard heldBytes > limit, !isRelieving else { return }
        // The clock is asked anew: a round that brings many answers takes its time.
        let now = LoopInstant.current()
        // A client that has only just begun may be a good one, until there is twice too much.
        let isFarOver = heldBytes / 2 > limit
        guard now >= nextLook || isFarOver && !isInVain else { return }
        isRelieving = true
        isInVain = true
        defer { isRelieving = false }
        // To look at all clients costs time: it makes room for more than the next one, or, where all
        // have just begun, is not done again at once.
        let enough = limit - limit / 8
        for holder in longestStalledFirst() where holder.heldBytes > 0 {
            guard heldBytes > enough else { return }
            let isRipe = holder.stalledSince + .milliseconds(100) < now
            guard isRipe || isFarOver && heldBytes / 2 > enough else { break }
            counters.add(.limitHeldBytes)
            isInVain = false
            holder.giveUp()
        }
        nextLook = now + .milliseconds(10)
    }

    private func longestStalledFirst() -> [any MemoryHolder] {
        var found: [any MemoryHolder] = []
        forEachHolder { holder in
            if holder.stalledSince != .never, holder.heldBytes > 0 { found.append(holder) }
        }
        return found.sorted { $0.stalledSince < $1.stalledSince }
    }
}

extension HTTPRefusal {
    /// Of a body that is given up for others.
    static let heldTooMuch = HTTPRefusal(
        503, "The server holds as many bytes for its clients as it may; send it again later.")
}
