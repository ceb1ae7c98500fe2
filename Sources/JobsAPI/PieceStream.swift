import JobEngine
import Jobs
import Synchronization

/// A large map's submission as it was sent: its document around the items that are kept in pieces.
final class PieceStream: Sendable {
    private let job: JobID
    private let head: [UInt8]
    private let tail: [UInt8]
    private let queue: JobQueue
    private let place = Mutex(Place.head)

    private enum Place {
        case head
        case items(first: Int)
        case end
    }

    init(job: JobID, head: [UInt8], tail: [UInt8], queue: JobQueue) {
        self.job = job
        self.head = head
        self.tail = tail
        self.queue = queue
    }

    func next() async throws -> [UInt8]? {
        switch place.withLock({ $0 }) {
        case .head:
            place.withLock { $0 = .items(first: 0) }
            return head
        case .items(let first):
            guard let piece = try await queue.piece(job, at: first) else {
                place.withLock { $0 = .end }
                return tail
            }
            place.withLock { $0 = .items(first: piece.range.upperBound) }
            return (first > 0 ? [UInt8(ascii: ",")] : []) + piece.items
        case .end: return nil
        }
    }
}
