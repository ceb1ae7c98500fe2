import Jobs

/// Cuts a map's items into chunks for the workers.
///
/// With `ChunkSize.auto` it starts with one item, or with a cautious guess where the function has
/// been mapped before, and steers the time of a chunk to about 0.2 s, as
/// joblib does, at most eightfold at a time; near the end a chunk is no more than a fair share.
struct ChunkPlanner {
    /// What was not given out, the next one last.
    private var open: [Range<Int>] = []
    private var done: [Range<Int>]
    /// Items whose chunk failed as a whole: run one by one, so that only the guilty is blamed.
    private var singles: [Int] = []
    private let size: ChunkSize
    private let width: Int
    private var steered = 1
    private(set) var left = 0

    private static let targetSeconds = 0.2

    /// - Parameters:
    ///   - done: ranges that have ended already, in order.
    ///   - size: what the job asks for.
    ///   - width: how many chunks run at once.
    ///   - itemSeconds: what an item took the last time; nil if that is not known.
    init(done: [Range<Int>], size: ChunkSize, width: Int, itemSeconds: Double? = nil) {
        self.done = done
        self.size = size
        self.width = max(1, width)
        if let itemSeconds {
            // The new items may be longer ones: an eighth of the time that a chunk may take.
            steered = max(1, Int(min(Self.targetSeconds / 8 / max(itemSeconds, 1e-8), 100_000)))
        }
    }

    /// Adds pieces of the map's items that follow those that there were; no chunk is of two.
    mutating func add(_ pieces: [Range<Int>]) {
        let gaps = Self.gaps(in: pieces, between: done)
        done = []  // what has ended is among the first that come
        open = gaps.reversed() + open
        left += gaps.reduce(0) { $0 + $1.count }
    }

    /// What is left of the pieces without the ranges that are done, all in order.
    private static func gaps(
        in pieces: [Range<Int>], between done: [Range<Int>],
    ) -> [Range<Int>] {
        var gaps: [Range<Int>] = []
        var done = done[...]
        for piece in pieces {
            var position = piece.lowerBound
            while let range = done.first, range.lowerBound < piece.upperBound {
                if range.lowerBound > position { gaps.append(position..<range.lowerBound) }
                position = max(position, range.upperBound)
                if range.upperBound > piece.upperBound { break }
                done.removeFirst()
            }
            if position < piece.upperBound { gaps.append(position..<piece.upperBound) }
        }
        return gaps
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
