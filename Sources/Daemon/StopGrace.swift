import Synchronization

/// The time that what runs has to end when the server stops; a second signal ends it at once.
final class StopGrace: Sendable {
    private let end = Mutex<ContinuousClock.Instant?>(nil)

    /// Begins to count; a grace that is over stays so.
    func begin(seconds: Double) {
        end.withLock { $0 = $0 ?? .now + .seconds(seconds) }
    }

    /// Ends it now.
    func hurry() { end.withLock { $0 = .now } }

    @Sendable func isOver() -> Bool { end.withLock { $0.map { $0 <= .now } ?? false } }
}
