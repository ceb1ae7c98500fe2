import Sockets
import Synchronization

/// When the engine has last been heard; many ask whether it lives, one a second need wake it for that.
final class LastAnswer: Sendable {
    private let nanoseconds = Atomic<Int64>(.min / 2)

    var instant: LoopInstant {
        get { LoopInstant(nanoseconds: nanoseconds.load(ordering: .relaxed)) }
        set { nanoseconds.store(newValue.nanoseconds, ordering: .relaxed) }
    }
}
