import Synchronization

/// A request's body that is made while it is sent.
///
///     whoever makes it ── put ──► 1 MiB ── take ──► libcurl, on the loop's thread
///
/// The maker is held back when the server takes the bytes more slowly than they come.
package final class WebUpload: Sendable {
    private let state = Mutex(State())

    private struct State {
        var bytes: [UInt8] = []
        var taken = 0
        var isComplete = false
        /// Nobody takes any more: the answer is there, or the connection is lost.
        var isOver = false
        var room: CheckedContinuation<Void, Never>?
        var onNews: (@Sendable () -> Void)?

        var waiting: Int { bytes.count - taken }

        mutating func take(_ buffer: UnsafeMutableRawBufferPointer) -> Piece {
            let count = min(buffer.count, waiting)
            guard count > 0 else { return isOver || isComplete ? .end : .nothing }
            bytes.withUnsafeBytes {
                buffer.copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: $0[taken..<taken + count]))
            }
            taken += count
            if waiting == 0 || taken >= WebUpload.mostWaiting {
                bytes.removeSubrange(..<taken)
                taken = 0
            }
            return .bytes(count)
        }
    }

    /// Bytes that wait before the maker does.
    private static let mostWaiting = 1 << 20

    package init() {}

    // MARK: Making

    /// Adds bytes, waiting for room; false when they are not wanted any more.
    ///
    /// For one task at a time.
    package func put(_ bytes: [UInt8]) async -> Bool {
        while isFull { await untilTaken() }
        let news = state.withLock { state in
            state.bytes += bytes
            return state.onNews
        }
        news?()
        return state.withLock { !$0.isOver }
    }

    /// Says that this was all.
    package func finish() {
        let news = state.withLock { state in
            state.isComplete = true
            return state.onNews
        }
        news?()
    }

    /// Whether more bytes would be sent.
    package var isWanted: Bool { state.withLock { !$0.isOver } }

    private var isFull: Bool {
        state.withLock { !$0.isOver && $0.waiting >= Self.mostWaiting }
    }

    private func untilTaken() async {
        await withCheckedContinuation { continuation in
            let waits = state.withLock { state in
                guard !state.isOver, state.waiting >= Self.mostWaiting else { return false }
                state.room = continuation
                return true
            }
            if !waits { continuation.resume() }
        }
    }

    // MARK: Sending

    enum Piece {
        case bytes(Int)
        /// Nothing now; there is news when there is more.
        case nothing
        case end
    }

    /// Sets what is called, on any thread, when there may be more to take.
    func onNews(_ call: @escaping @Sendable () -> Void) { state.withLock { $0.onNews = call } }

    func take(_ buffer: UnsafeMutableRawBufferPointer) -> Piece {
        let (piece, waiter) = state.withLock { state in
            let piece = state.take(buffer)
            guard state.waiting < Self.mostWaiting || state.isOver else {
                return (piece, nil as CheckedContinuation<Void, Never>?)
            }
            defer { state.room = nil }
            return (piece, state.room)
        }
        waiter?.resume()
        return piece
    }

    /// Takes no more; the maker hears of it with what it puts next.
    func stop() {
        let (waiter, news) = state.withLock { state in
            state.isOver = true
            state.bytes = []
            state.taken = 0
            defer {
                state.room = nil
                state.onNews = nil
            }
            return (state.room, state.onNews)
        }
        waiter?.resume()
        news?()
    }
}
