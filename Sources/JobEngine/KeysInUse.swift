import Synchronization

/// The `Idempotency-Key`s of submissions that are being stored.
final class KeysInUse: Sendable {
    private let keys = Mutex<Set<String>>([])

    /// Keeps others off a key until `body` is done; nil is no key.
    ///
    /// - Throws: `KeyInUse` when somebody else has it, else what `body` throws.
    func hold<Value: Sendable>(
        _ key: String?, while body: () async throws -> Value,
    ) async throws -> Value {
        guard let key else { return try await body() }
        guard keys.withLock({ $0.insert(key).inserted }) else { throw KeyInUse() }
        defer { keys.withLock { _ = $0.remove(key) } }
        return try await body()
    }
}

/// A submission with the same `Idempotency-Key` is being stored at this moment.
package struct KeyInUse: Error, Equatable {}
