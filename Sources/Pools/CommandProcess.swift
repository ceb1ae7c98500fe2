import Glibc
import Synchronization

/// The process of a running command, to be ended from any thread at any moment.
final class CommandProcess: Sendable {
    private let state = Mutex<(pid: pid_t?, isEnding: Bool)>((nil, false))

    /// Whether it is to end, or not to start any more.
    var isEnding: Bool { state.withLock { $0.isEnding } }

    func started(_ pid: pid_t) {
        state.withLock { state in
            state.pid = pid
            if state.isEnding { kill(-pid, SIGKILL) }
        }
    }

    /// Kills the process and its group, at once or as soon as it starts.
    func end() {
        state.withLock { state in
            state.isEnding = true
            if let pid = state.pid { kill(-pid, SIGKILL) }
        }
    }

    /// The process is gone; its number may belong to another one now.
    func reaped() { state.withLock { $0.pid = nil } }
}
