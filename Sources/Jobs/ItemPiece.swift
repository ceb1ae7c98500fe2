import RawJSON

/// Consecutive items of a map that is too large for its job's row, or still being uploaded.
///
/// Such a map is kept as a submission whose `map` is an empty array, and the items in pieces beside
/// it, so that neither the store nor the engine ever holds it whole.
package struct ItemPiece: Sendable, Equatable {
    /// Index of the first item.
    package var first: Int
    /// At least 1.
    package var count: Int
    /// The items with commas between, as the client sent them.
    package var items: ArraySlice<UInt8>

    package init(first: Int, count: Int, items: ArraySlice<UInt8>) {
        self.first = first
        self.count = count
        self.items = items
    }

    package var range: Range<Int> { first..<first + count }

    /// Bytes of items up to which a piece grows; one item may be longer.
    package static let sizeBytes = 256 << 10
}

/// Where the items of large maps are kept, beside their jobs.
package protocol ItemStore: Sendable {
    /// Keeps the items that follow those that are there; false when the job is not there any more.
    func appendItems(_ piece: ItemPiece, to id: JobID) async throws(StoreError) -> Bool

    /// Notes that all items of a job that was stored as `isUploading` have come, or will not.
    func endUpload(_ id: JobID) async throws(StoreError)

    /// Jobs stored as `isUploading` whose upload has not ended.
    func unfinishedUploads() async throws(StoreError) -> [JobID]

    /// Which items each piece holds, from that which begins at `first` on, in order.
    func pieceRanges(_ id: JobID, from first: Int) async throws(StoreError) -> [Range<Int>]

    /// The piece that begins with an item; nil when there is none.
    func piece(_ id: JobID, at first: Int) async throws(StoreError) -> ItemPiece?
}

extension JobSubmission {
    /// Takes the items out of a large map; none of a small one, which keeps them.
    package mutating func takeItems() -> [ItemPiece] {
        guard case .map(let items, let count, let spread) = work,
            items.bytes.count > ItemPiece.sizeBytes
        else { return [] }
        var first = 0
        let pieces = items.elementRuns(bytes: ItemPiece.sizeBytes).map { range, count in
            defer { first += count }
            return ItemPiece(first: first, count: count, items: items.bytes[range])
        }
        // The items' array is a part of the document.
        let head = document.bytes[..<items.bytes.startIndex]
        let tail = document.bytes[items.bytes.endIndex...]
        document = RawJSON(trusted: (head + RawJSON.emptyArray.bytes + tail)[...])
        work = .map(items: .emptyArray, count: count, spread: spread)
        return pieces
    }

    /// Says how many items there are beside the submission.
    package mutating func setItemCount(_ count: Int) {
        if case .map(let items, _, let spread) = work {
            work = .map(items: items, count: count, spread: spread)
        }
    }

    /// The document around the items that are kept beside it: what stands before and behind them,
    /// the brackets included; nil when the document holds its items itself.
    package var documentAroundItems: (head: ArraySlice<UInt8>, tail: ArraySlice<UInt8>)? {
        guard case .map(_, let count, _) = work, count > 0,
            let place = document.member("map")?.bytes, place.count == 2
        else { return nil }
        let inside = place.startIndex + 1
        return (document.bytes[..<inside], document.bytes[inside...])
    }
}
