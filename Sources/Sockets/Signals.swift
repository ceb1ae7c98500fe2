import CLinux
import Glibc

/// Takes signals away from their default actions and hands them to a closure on an event loop.
///
/// Call `block` on the first thread before any other is started, so that all inherit the mask.
package final class SignalWatch: EventHandler {
    private let fd: Int32
    private let handler: (Int32) -> Void

    /// Blocks the signals in the calling thread and in those that it starts from now on.
    package static func block(_ signals: [Int32]) {
        var set = mask(signals)
        pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    /// Watches signals that are blocked already; to be called on the loop's thread.
    ///
    /// - Throws: `SocketError.system` when the kernel gives no descriptor.
    package init(
        _ signals: [Int32], on loop: EventLoop, handler: @escaping (Int32) -> Void,
    ) throws(SocketError) {
        var set = Self.mask(signals)
        fd = signalfd(-1, &set, Int32(SFD_CLOEXEC | SFD_NONBLOCK))
        guard fd >= 0 else { throw .system("signalfd", errno) }
        self.handler = handler
        try loop.watch(fd, EPOLLIN.rawValue, handler: self)
    }

    package func ready(_ events: UInt32) {
        var info = signalfd_siginfo()
        while read(fd, &info, MemoryLayout<signalfd_siginfo>.size) > 0 {
            handler(Int32(info.ssi_signo))
        }
    }

    private static func mask(_ signals: [Int32]) -> sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in signals { sigaddset(&set, signal) }
        return set
    }
}
