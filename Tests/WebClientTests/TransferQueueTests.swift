import Testing

@testable import WebClient

@Suite struct TransferQueueTests {
    private func drain(_ queue: inout TransferQueue<String>) -> [String] {
        var taken: [String] = []
        while let next = queue.next() { taken.append(next) }
        return taken
    }

    /// Puts elements in that must be taken.
    private func fill(_ queue: inout TransferQueue<String>, _ host: String, _ names: String...) {
        for name in names {
            let isTaken = queue.add(name, host: host)
            #expect(isTaken)
        }
    }

    @Test func `hosts take turns`() {
        var queue = TransferQueue<String>(limits: WebLimits(total: 100, perHost: 100))
        fill(&queue, "a", "a0", "a1", "a2")
        fill(&queue, "b", "b0", "b1")
        #expect(drain(&queue) == ["a0", "b0", "a1", "b1", "a2"])
    }

    @Test func `a host at its limit does not hold up the others`() {
        var queue = TransferQueue<String>(limits: WebLimits(total: 100, perHost: 1))
        fill(&queue, "a", "a0", "a1", "a2")
        fill(&queue, "b", "b0")
        #expect(drain(&queue) == ["a0", "b0"])
        queue.ended(host: "a")
        #expect(drain(&queue) == ["a1"])
        queue.ended(host: "b")
        #expect(drain(&queue).isEmpty)
        queue.ended(host: "a")
        #expect(drain(&queue) == ["a2"])
    }

    @Test func `no more than the total run at once, and no more than the bound wait`() {
        var queue = TransferQueue<String>(limits: WebLimits(total: 2, perHost: 2, waiting: 3))
        for host in ["a", "b", "c"] { fill(&queue, host, host) }
        let isTaken = queue.add("d", host: "d")
        #expect(!isTaken)
        #expect(drain(&queue) == ["a", "b"])
        fill(&queue, "d", "d")
        queue.ended(host: "a")
        #expect(drain(&queue) == ["c"])
        queue.ended(host: "b")
        queue.ended(host: "c")
        #expect(drain(&queue) == ["d"])
    }

    @Test func `an endless stream of one host leaves every other its turn`() {
        var queue = TransferQueue<String>(limits: WebLimits(total: 4, perHost: 100))
        for number in 0..<1000 { fill(&queue, "busy", "\(number)") }
        #expect(drain(&queue) == ["0", "1", "2", "3"])
        fill(&queue, "small", "small")
        queue.ended(host: "busy")
        #expect(drain(&queue) == ["4"])
        queue.ended(host: "busy")
        #expect(drain(&queue) == ["small"])
    }
}
