import Glibc

/// What can go wrong with a descriptor.
package enum SocketError: Error, Equatable, CustomStringConvertible {
    /// A system call failed: its name and `errno`.
    case system(String, Int32)
    /// Nothing happened before the deadline.
    case timedOut
    /// The socket was closed on this side while it was waited for.
    case closed
    /// The other side speaks HTTP where TLS is spoken.
    case unencrypted

    /// Whether descriptors or processes were short, which they need not be soon.
    package var isShortage: Bool {
        guard case .system(_, let code) = self else { return false }
        return [EMFILE, ENFILE, EAGAIN].contains(code)
    }

    package var description: String {
        switch self {
        case .system(let call, let code): "\(call): \(String(cString: strerror(code)))"
        case .timedOut: "timed out"
        case .closed: "closed"
        case .unencrypted: "HTTP instead of TLS"
        }
    }
}
