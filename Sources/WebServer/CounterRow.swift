import Synchronization

/// A row of counters, which one loop alone adds to and anyone may read.
///
/// An atomic each, so that reading from elsewhere is no race; adding needs no locked instruction.
final class CounterRow: @unchecked Sendable {
    // Unchecked: the pointer is never changed, and atomics stand behind it.
    private let cells: UnsafeMutablePointer<Atomic<Int>>
    private let count: Int

    init(count: Int) {
        self.count = count
        cells = .allocate(capacity: count)
        for index in 0..<count { (cells + index).initialize(to: Atomic(0)) }
    }

    deinit {
        cells.deinitialize(count: count)
        cells.deallocate()
    }

    func add(_ amount: Int, at index: Int) {
        cells[index].store(cells[index].load(ordering: .relaxed) &+ amount, ordering: .relaxed)
    }

    func value(at index: Int) -> Int { cells[index].load(ordering: .relaxed) }
}
