import Jobs
import RawJSON
import Sockets

/// The items of one map, from the job that holds them or piece by piece from the store.
///
/// A chunk is cut from one piece; the pieces that were used last stay in memory. It belongs to the
/// actor that uses it.
final class MapItems {
    let spread: Bool
    private let id: JobID
    private let store: any JobStore
    private let loop: EventLoop
    /// First items of the pieces that are known.
    private var starts: [Int] = []
    private var recent: [(first: Int, piece: Task<Result<Piece, StoreError>, Never>)] = []
    /// Items that are known.
    private(set) var count = 0
    private var held: Piece?

    /// Pieces that stay in memory; chunks that run at once may lie in two or three.
    private static let recentLimit = 4

    /// A piece, and where its items are in it.
    private struct Piece: Sendable {
        let first: Int
        let list: RawJSON
        let places: [Range<Int>]

        init(first: Int, list: RawJSON) {
            self.first = first
            self.list = list
            places = list.elementRanges()
        }

        init(_ piece: ItemPiece) {
            self.init(
                first: piece.first,
                list: RawJSON(
                    trusted: ([UInt8(ascii: "[")] + piece.items + [UInt8(ascii: "]")])[...]))
        }

        func items(_ range: Range<Int>) -> ArraySlice<UInt8> {
            let start = places[range.lowerBound - first].lowerBound
            return list.bytes[start..<places[range.upperBound - 1 - first].upperBound]
        }
    }

    init(of job: Job, store: any JobStore, loop: EventLoop) {
        guard case .map(let items, _, let spread) = job.submission.work else {
            preconditionFailure("a map run wants a map")
        }
        id = job.id
        self.store = store
        self.loop = loop
        self.spread = spread
        let piece = Piece(first: 0, list: items)
        if !piece.places.isEmpty { held = piece }
    }

    /// Looks for items that are new since the last time: a range a piece, in order.
    func readRanges() async throws(StoreError) -> [Range<Int>] {
        let fresh: [Range<Int>]
        if let held {
            fresh = count == 0 ? [0..<held.places.count] : []
        } else {
            fresh = try await store.pieceRanges(id, from: count)
        }
        starts += fresh.map(\.lowerBound)
        count = fresh.last?.upperBound ?? count
        return fresh
    }

    /// The items of a range within one piece, with commas between.
    ///
    /// - Throws: `failed` also when the piece is gone, with its job.
    func items(_ range: Range<Int>) async throws(StoreError) -> ArraySlice<UInt8> {
        if let held { return held.items(range) }
        return try await piece(holding: range.lowerBound).get().items(range)
    }

    private func piece(holding item: Int) async -> Result<Piece, StoreError> {
        let first = starts[starts.partitioningIndex { $0 > item } - 1]
        if let known = recent.first(where: { $0.first == first }) { return await known.piece.value }
        let (store, id) = (store, id)
        // A task of its own: all chunks that begin in the piece wait for the same reading.
        let reading = Task(executorPreference: loop) { () -> Result<Piece, StoreError> in
            do throws(StoreError) {
                guard let piece = try await store.piece(id, at: first) else {
                    return .failure(.failed("Items of job \(id) are not there any more."))
                }
                return .success(Piece(piece))
            } catch {
                return .failure(error)
            }
        }
        recent.append((first, reading))
        if recent.count > Self.recentLimit { recent.removeFirst() }
        return await reading.value
    }
}

extension [Int] {
    /// The first place at which `isBehind` holds, where it holds for all that follow too.
    fileprivate func partitioningIndex(_ isBehind: (Int) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if isBehind(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
