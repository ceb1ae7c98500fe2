import CLinux
import Glibc

/// Where a server listens.
package enum ListenAddress: Hashable, Sendable {
    case internet(host: String, port: Int)
    case unix(path: String)

    /// Reads `HOST:PORT`, `[::1]:PORT` or `unix:/path`; nil when it is none of them.
    package init?(_ text: String) {
        if text.hasPrefix("unix:") {
            let path = String(text.dropFirst(5))
            guard !path.isEmpty else { return nil }
            self = .unix(path: path)
            return
        }
        guard let colon = text.lastIndex(of: ":"),
            let port = Int(text[text.index(after: colon)...]),
            (0...65535).contains(port)
        else { return nil }
        var host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        guard !host.isEmpty else { return nil }
        self = .internet(host: host, port: port)
    }

    /// Whether nobody outside this machine can reach it.
    package var isLocal: Bool {
        switch self {
        case .internet(let host, _): ["127.0.0.1", "::1", "localhost"].contains(host)
        case .unix: true
        }
    }
}

extension ListenAddress: CustomStringConvertible {
    /// As clients write it.
    package func url(isSecure: Bool) -> String {
        if case .unix = self { return description }
        return "\(isSecure ? "https" : "http")://\(self)"
    }

    package var description: String {
        switch self {
        case .internet(let host, let port):
            host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }
}

/// A listening socket; several may share an internet address, and the kernel deals out among them.
package struct ListeningSocket: Sendable {
    package let descriptor: Int32
    /// As bound: with the port that the system chose where 0 was asked.
    package let address: ListenAddress

    /// Binds and listens.
    ///
    /// - Parameters:
    ///   - address: not another program's.
    ///   - isShared: whether this process listens there already.
    /// - Throws: `SocketError.system` when the address cannot be had.
    package init(_ address: ListenAddress, isShared: Bool = false) throws(SocketError) {
        switch address {
        case .unix(let path):
            descriptor = clinux_unix_listener(path)
            guard descriptor >= 0 else { throw .system("listen on \(address)", -descriptor) }
            self.address = address
        case .internet(let host, let port):
            descriptor = try Self.listen(host, port, isShared: isShared)
            self.address = .internet(host: host, port: Self.port(of: descriptor))
        }
    }

    package enum Acceptance {
        case connection(Int32, PeerAddress)
        /// Nobody is waiting.
        case nobody
        /// This process or the system has no descriptor to spare.
        case noDescriptor
        /// A connection that was gone before it was taken, or the like: try the next.
        case failed
    }

    /// Whether a connection waits to be taken; without a descriptor to spare `accept` cannot say.
    package var isAwaited: Bool {
        var watched = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&watched, 1, 0) > 0
    }

    /// Takes one connection that waits.
    package func accept() -> Acceptance {
        var peer = sockaddr_storage()
        let result = clinux_accept(descriptor, &peer)
        if result >= 0 {
            let address = withUnsafePointer(to: &peer) { storage in
                storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { IPAddress($0) }
            }
            return .connection(result, address.map(PeerAddress.internet) ?? .unix)
        }
        switch -result {
        case EAGAIN: return .nobody
        case EMFILE, ENFILE, ENOBUFS, ENOMEM: return .noDescriptor
        case EINTR, ECONNABORTED, EPROTO, EPERM: return .failed
        default: return .nobody
        }
    }

    /// Stops listening; the path of a Unix socket is removed.
    package func close() {
        // First: when it is closed another server may take the path.
        if case .unix(let path) = address { unlink(path) }
        Glibc.close(descriptor)
    }

    private static func listen(
        _ host: String, _ port: Int, isShared: Bool,
    ) throws(SocketError) -> Int32 {
        var hints = addrinfo()
        hints.ai_flags = Int32(AI_PASSIVE | AI_NUMERICSERV)
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, String(port), &hints, &found) == 0, let address = found else {
            throw .system("resolve \(host)", EADDRNOTAVAIL)
        }
        defer { freeaddrinfo(found) }
        let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let fd = socket(address.pointee.ai_family, type, 0)
        guard fd >= 0 else { throw .system("socket", errno) }
        set(fd, SOL_SOCKET, SO_REUSEADDR)
        if isShared { set(fd, SOL_SOCKET, SO_REUSEPORT) }
        // Accepted sockets inherit it: no answer waits for the client's delayed ACK.
        set(fd, Int32(IPPROTO_TCP), TCP_NODELAY)
        set(fd, Int32(IPPROTO_TCP), TCP_NOTSENT_LOWAT, to: unsentBytes)
        // An IPv6 address does not take the IPv4 port with it.
        if address.pointee.ai_family == AF_INET6 { set(fd, Int32(IPPROTO_IPV6), IPV6_V6ONLY) }
        func refused() -> SocketError {
            defer { Glibc.close(fd) }
            return .system("listen on \(host):\(port)", errno)
        }
        guard bind(fd, address.pointee.ai_addr, address.pointee.ai_addrlen) == 0 else {
            throw refused()
        }
        // Only now for the first one: bound with it, it would share the port with another server of
        // the same user, and each would get some of the other's clients.
        set(fd, SOL_SOCKET, SO_REUSEPORT)
        guard Glibc.listen(fd, 4096) == 0 else { throw refused() }
        return fd
    }

    /// Bytes that the kernel takes of a client's answer beyond those that are on their way.
    ///
    /// Left to itself it takes up to 4 MiB for each client that reads nothing, and when its memory
    /// gets short takes no more from any.
    private static let unsentBytes: Int32 = 256 << 10

    private static func set(_ fd: Int32, _ level: Int32, _ option: Int32, to value: Int32 = 1) {
        var value = value
        setsockopt(fd, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    private static func port(of fd: Int32) -> Int {
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutablePointer(to: &storage) { pointer in
            _ = pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                getsockname(fd, address, &size)
            }
            // The port stands at the same place in IPv4 and IPv6 addresses.
            return pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { address in
                Int(UInt16(bigEndian: address.pointee.sin_port))
            }
        }
    }
}
