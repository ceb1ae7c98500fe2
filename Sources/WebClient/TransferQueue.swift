import DequeModule

/// Whose turn it is: hosts in rotation, so that one with thousands of requests does not keep the
/// others waiting, and never more at once than the limits say.
struct TransferQueue<Element> {
    private let limits: WebLimits
    private var hosts: [String: Host] = [:]
    /// Hosts that have something waiting and a free place, each once.
    private var rotation = Deque<String>()
    private var running = 0
    private(set) var waiting = 0

    private struct Host {
        var waiting = Deque<Element>()
        var running = 0
        var isInRotation = false
    }

    init(limits: WebLimits) { self.limits = limits }

    /// Puts one in; false when as many wait as may.
    mutating func add(_ element: Element, host name: String) -> Bool {
        guard waiting < limits.waiting else { return false }
        waiting += 1
        hosts[name, default: Host()].waiting.append(element)
        enter(name)
        return true
    }

    /// Takes out the next that may start; nil when there is none or no place.
    mutating func next() -> Element? {
        guard running < limits.total, let name = rotation.popFirst(), var host = hosts[name],
            let element = host.waiting.popFirst()
        else { return nil }
        host.running += 1
        host.isInRotation = false
        hosts[name] = host
        running += 1
        waiting -= 1
        enter(name)
        return element
    }

    /// Frees the place of one that was taken out.
    mutating func ended(host name: String) {
        running -= 1
        hosts[name]?.running -= 1
        enter(name)
        if let host = hosts[name], host.running == 0, host.waiting.isEmpty { hosts[name] = nil }
    }

    private mutating func enter(_ name: String) {
        guard let host = hosts[name], !host.isInRotation, !host.waiting.isEmpty,
            host.running < limits.perHost
        else { return }
        hosts[name]?.isInRotation = true
        rotation.append(name)
    }
}

/// How much a client does at once.
package struct WebLimits: Sendable, Equatable {
    /// Transfers at once.
    package var total: Int
    /// Transfers at once with one scheme, host and port.
    package var perHost: Int
    /// Requests that wait for their turn; past it they are refused.
    package var waiting: Int

    package init(total: Int = 256, perHost: Int = 100, waiting: Int = 100_000) {
        self.total = total
        self.perHost = perHost
        self.waiting = waiting
    }
}
