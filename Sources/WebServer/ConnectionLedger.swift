import Sockets
import Synchronization

/// How many connections a server has, in all and of each address; shared by its loops.
final class ConnectionLedger: Sendable {
    private let limit: Int
    private let limitPerAddress: Int
    private let state = Mutex(State())
    /// Have each loop make room, set before any connection comes.
    private let roomMakers = Mutex<[@Sendable () -> Void]>([])

    private struct State {
        var open = 0
        var byAddress: [PeerAddress: Int] = [:]
    }

    init(limit: Int, perAddress: Int) {
        self.limit = limit
        limitPerAddress = perAddress
    }

    /// Has the loops close idle connections by `body` when one of them has none to close.
    func whenAsked(_ body: @escaping @Sendable () -> Void) {
        roomMakers.withLock { $0.append(body) }
    }

    func askOthers() {
        for makeRoom in roomMakers.withLock({ $0 }) { makeRoom() }
    }

    enum Admission { case admitted, full, tooManyOfAddress }

    var open: Int { state.withLock { $0.open } }

    var isFull: Bool { open >= limit }

    /// Counts a connection if there is room; `address` is counted by itself too, unless it is nil.
    func admit(_ address: PeerAddress?) -> Admission {
        state.withLock { state in
            guard state.open < limit else { return .full }
            if let address {
                // An address is looked for once: hashing it is a good part of what a connection costs.
                if let place = state.byAddress.index(forKey: address) {
                    guard state.byAddress.values[place] < limitPerAddress else {
                        return .tooManyOfAddress
                    }
                    state.byAddress.values[place] += 1
                } else {
                    guard limitPerAddress > 0 else { return .tooManyOfAddress }
                    state.byAddress[address] = 1
                }
            }
            state.open += 1
            return .admitted
        }
    }

    func release(_ address: PeerAddress?) {
        state.withLock { state in
            state.open -= 1
            guard let address, let place = state.byAddress.index(forKey: address) else { return }
            if state.byAddress.values[place] > 1 {
                state.byAddress.values[place] -= 1
            } else {
                state.byAddress.remove(at: place)
            }
        }
    }
}
