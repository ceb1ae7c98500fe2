package import Jobs
import Synchronization
package import Threads

/// Large results that clients are reading, each in memory once for all its readers.
///
/// There is room for so many bytes; what finds none is read from the store piece by piece, which
/// costs a walk through the result for each piece.
final class ResultShelf: Sendable {
    private let store: any JobStore
    /// Bytes.
    private let room: Int
    private let state = Mutex(State())

    /// Which attempt's result: a retry brings another.
    struct Key: Hashable {
        let job: JobID
        let endedAt: Timestamp
    }

    private struct State {
        var places: [Key: Place] = [:]
        var bytes = 0
    }

    private struct Place {
        /// nil while it is being read.
        weak var result: WholeResult?
    }

    init(store: any JobStore, room: Int = 64 << 20) {
        self.store = store
        self.room = room
    }

    /// The result; nil when there is no room for it or another reader is just bringing it.
    func whole(_ key: Key, bytes count: Int) async throws(StoreError) -> WholeResult? {
        let found: WholeResult?? = state.withLock { state in
            if let place = state.places[key] { return .some(place.result) }
            guard state.bytes + count <= room else { return .some(nil) }
            state.bytes += count
            state.places[key] = Place()
            return nil
        }
        if let found { return found }
        let bytes: [UInt8]?
        do throws(StoreError) {
            bytes = try await store.result(
                of: key.job, endedAt: key.endedAt, from: 0, maxBytes: count)
        } catch {
            leave(key, bytes: count)
            throw error
        }
        guard let bytes else {
            leave(key, bytes: count)
            return nil
        }
        let result = WholeResult(bytes) { [self] in leave(key, bytes: count) }
        state.withLock { $0.places[key]?.result = result }
        return result
    }

    private func leave(_ key: Key, bytes: Int) {
        state.withLock { state in
            state.places[key] = nil
            state.bytes -= bytes
        }
    }
}

/// A result as long as somebody reads it.
final class WholeResult: Sendable {
    let bytes: [UInt8]
    private let onEnd: @Sendable () -> Void

    init(_ bytes: [UInt8], onEnd: @escaping @Sendable () -> Void) {
        self.bytes = bytes
        self.onEnd = onEnd
    }

    deinit { onEnd() }
}

/// Reads the large result of a call for one client.
package final class ResultReader: Sendable {
    private let key: ResultShelf.Key
    private let size: Int
    private let store: any JobStore
    /// nil of a result in a file.
    private let shelf: ResultShelf?
    private let state = Mutex<(whole: WholeResult?, isFirst: Bool)>((nil, true))
    private let opened = Mutex<OpenFile?>(nil)

    init(_ key: ResultShelf.Key, size: Int, store: any JobStore, shelf: ResultShelf?) {
        self.key = key
        self.size = size
        self.store = store
        self.shelf = shelf
    }

    /// At most `count` bytes from an offset on; nil when the result is not there any more.
    package func read(
        from offset: Int, _ count: Int,
    ) async throws(StoreError) -> ArraySlice<UInt8>? {
        guard let shelf else {
            guard let file = try await file() else { return nil }
            do throws(FileError) {
                return try await file.read(from: offset, count)[...]
            } catch {
                throw .failed(error.description)
            }
        }
        if let whole = try await whole(on: shelf) {
            return whole.bytes[offset..<min(offset + count, whole.bytes.count)]
        }
        return try await store.result(
            of: key.job, endedAt: key.endedAt, from: offset, maxBytes: count
        ).map { $0[...] }
    }

    /// The file of a result that is in one; nil when it is not there any more.
    ///
    /// It is open from the first call on, and can be read to its end then, whatever becomes of the
    /// job.
    package func file() async throws(StoreError) -> OpenFile? {
        if let file = opened.withLock({ $0 }) { return file }
        let file = try await store.resultFile(of: key.job, endedAt: key.endedAt)
        opened.withLock { $0 = file }
        return file
    }

    /// Only for who comes for a second piece: a small part of a large result is read alone.
    private func whole(on shelf: ResultShelf) async throws(StoreError) -> WholeResult? {
        let (known, isFirst) = state.withLock { state in
            defer { state.isFirst = false }
            return (state.whole, state.isFirst)
        }
        if known != nil || isFirst { return known }
        let whole = try await shelf.whole(key, bytes: size)
        state.withLock { $0.whole = whole }
        return whole
    }
}
