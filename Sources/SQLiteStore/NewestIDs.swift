/// The greatest of many row numbers that come in sorted lists, the greatest first.
struct NewestIDs {
    private(set) var ids: [Int64] = []
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    /// What is not above it is not among the greatest any more.
    var floor: Int64 { ids.count < limit ? Int64.min : ids[limit - 1] }

    /// Takes a list in; a number that is there already is not taken twice.
    mutating func merge(_ more: [Int64]) {
        guard !ids.isEmpty else { return ids = Array(more.prefix(limit)) }
        var merged: [Int64] = []
        merged.reserveCapacity(min(limit, ids.count + more.count))
        var (left, right) = (0, 0)
        while merged.count < limit, left < ids.count || right < more.count {
            let (mine, theirs) = (
                left < ids.count ? ids[left] : Int64.min,
                right < more.count ? more[right] : Int64.min
            )
            merged.append(max(mine, theirs))
            if mine >= theirs { left += 1 }
            if theirs >= mine { right += 1 }
        }
        ids = merged
    }
}
