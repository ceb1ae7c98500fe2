import Jobs

/// Cuts a map's items into chunks for the workers.
///
/// With `ChunkSize.auto` it starts with one item, or with a cautious guess where the function has
/// been mapped before, and steers the time of a chunk to about 0.2 s, as
/// joblib does, at most eightfold at a time; near the end a chunk is no more than a fair share.
struct ChunkPlanner {
    private var open: [Range<Int>]
    /// Items whose chunk failed as a whole: run one by one, so that only the guilty is blamed.
    private var singles: [Int] = []
    private let size: ChunkSize
    private let width: Int
    private var steered = 1
    private(set) var left: Int

    private static let targetSeconds = 0.2

    /// - Parameters:
    ///   - count: of the map's items.
    ///   - done: ranges that have ended already, in order.
    ///   - size: what the job asks for.
    ///   - width: how many chunks run at once.
    ///   - itemSeconds: what an item took the last time; nil if that is not known.
    init(
        count: Int, done: [Range<Int>], size: ChunkSize, width: Int, itemSeconds: Double? = nil,
    ) {
        var open: [Range<Int>] = []
        var position = 0
        for range in done {
            if range.lowerBound > position { open.append(position..<range.lowerBound) }
            position = max(position, range.upperBound)
        }
        if position < count { open.append(position..<count) }
        self.open = open.reversed()
        self.size = size
        self.width = max(1, width)
        left = open.reduce(0) { $0 + $1.count }
        if let itemSeconds {
            // The new items may be longer ones: an eighth of the time that a chunk may take.
            steered = max(1, Int(min(Self.targetSeconds / 8 / max(itemSeconds, 1e-8), 100_000)))
        }
    }

    /// The next chunk; nil when all items have been given out.
    mutating func next() -> Range<Int>? {
        if let single = singles.popLast() {
            left -= 1
            return single..<single + 1
        }
        guard let range = open.popLast() else { return nil }
        let wanted: Int
        switch size {
        case .items(let count): wanted = count
        case .auto: wanted = min(steered, max(1, (left + 2 * width - 1) / (2 * width)))
        }
        let chunk = range.lowerBound..<min(range.upperBound, range.lowerBound + wanted)
        if chunk.upperBound < range.upperBound { open.append(chunk.upperBound..<range.upperBound) }
        left -= chunk.count
        return chunk
    }

    /// Seconds of an item, as the latest chunk showed it.
    private(set) var itemSeconds: Double?

    /// Learns from a chunk that has ended.
    mutating func note(_ count: Int, seconds: Double) {
        guard count > 0 else { return }
        itemSeconds = seconds / Double(count)
        let ideal = Self.targetSeconds / max(seconds / Double(count), 1e-8)
        let most = Double(max(steered, count) * 8)
        if count >= steered || ideal < Double(steered) {
            steered = max(1, Int(min(ideal, most, 1_000_000)))
        }
    }

    mutating func runSingly(_ range: Range<Int>) {
        singles += range.reversed()
        left += range.count
    }
}
