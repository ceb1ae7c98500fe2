import Synchronization
package import Threads

/// Content of a known length that is read piece by piece, so that no more of it than a piece is in
/// memory for a client.
package struct HTTPContent: Sendable {
    /// Reads at least one byte and no more than `count`, from an offset of the whole on.
    package typealias Reader =
        @Sendable (_ offset: Int, _ count: Int) async throws -> ArraySlice<UInt8>

    /// What is to be sent of the whole.
    let range: Range<Int>
    private let pieceBytes: Int
    private let read: Reader
    /// What it is, if it is nothing but a file: the kernel may send that without a copy here.
    let file: OpenFile?

    package init(_ file: OpenFile) {
        range = 0..<file.count
        pieceBytes = 128 << 10
        read = { offset, count in try await file.read(from: offset, count)[...] }
        self.file = file
    }

    package init(count: Int, pieceBytes: Int, read: @escaping Reader) {
        range = 0..<count
        self.pieceBytes = pieceBytes
        self.read = read
        file = nil
    }

    private init(_ whole: HTTPContent, _ range: Range<Int>) {
        self.range = range
        pieceBytes = whole.pieceBytes
        read = whole.read
        file = whole.file
    }

    /// The content between a few bytes before and behind it.
    package func framed(head: [UInt8], tail: [UInt8]) -> HTTPContent {
        let end = head.count + count
        let (inner, first) = (read, range.lowerBound)
        return HTTPContent(count: end + tail.count, pieceBytes: pieceBytes) { offset, most in
            if offset < head.count { return head[offset...].prefix(most) }
            if offset >= end { return tail[(offset - end)...].prefix(most) }
            return try await inner(first + offset - head.count, min(most, end - offset))
        }
    }

    var count: Int { range.count }

    /// A part, in offsets of the whole.
    func part(_ range: Range<Int>) -> HTTPContent { HTTPContent(self, range) }

    /// The pieces in order, then nil; each is asked for when the one before was taken.
    var pieces: @Sendable () async throws -> ArraySlice<UInt8>? {
        let place = Place(range.lowerBound)
        return {
            let offset = place.offset
            guard offset < range.upperBound else { return nil }
            let piece = try await read(offset, min(pieceBytes, range.upperBound - offset))
            guard !piece.isEmpty else { throw HTTPContentError.endedEarly }
            place.offset += piece.count
            return piece
        }
    }

    private final class Place: Sendable {
        private let value: Atomic<Int>

        init(_ offset: Int) { value = Atomic(offset) }

        var offset: Int {
            get { value.load(ordering: .relaxed) }
            set { value.store(newValue, ordering: .relaxed) }
        }
    }
}

/// Why content could not be sent to its end.
enum HTTPContentError: Error {
    /// There is less of it than was said.
    case endedEarly
}
