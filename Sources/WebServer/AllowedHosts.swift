package import HTTPWire
import Sockets

/// The names that a server goes by: those of this machine's loopback, and what it is told.
///
/// A page may have its own name mean 127.0.0.1 a moment later, and its script then is, to the browser,
/// of the same origin as a server that listens there ("DNS rebinding"). The name gives it away: it is
/// still what `Host` says.
package struct AllowedHosts: Sendable {
    private let names: Set<String>
    /// With the dot in front.
    private let domains: [String]
    private let addresses: Set<IPAddress>

    /// - Parameter patterns: names, `.example.org` for all names below, or addresses; what is none of
    ///   them fits nothing.
    package init(_ patterns: [String]) {
        let lower = patterns.map { $0.lowercased() }
        addresses = Set(lower.compactMap { IPAddress(host: $0) })
        domains = lower.filter { $0.hasPrefix(".") }
        names = Set(lower.filter { !$0.hasPrefix(".") })
    }

    /// Whether a text is a name, `.example.org` or an address: no port, no scheme, no `*`.
    package static func isPattern(_ text: String) -> Bool {
        if IPAddress(host: text) != nil { return true }
        let labels = (text.hasPrefix(".") ? text.dropFirst() : text[...])
            .split(separator: ".", omittingEmptySubsequences: false)
        return labels.allSatisfy { label in
            !label.isEmpty && label.utf8.allSatisfy { $0.isHostLetter }
        }
    }

    /// Whether the server goes by the name that a request asks for; one without a name, which
    /// HTTP/1.0 alone has, is of no browser and fits.
    package func contain(hostOf head: RequestHead) -> Bool {
        // Nearly all requests; without a string.
        if head.isHost("localhost", or: "127.0.0.1") { return true }
        guard let host = head.host else { return true }
        if host.hasSuffix(".localhost") || isNamed(host) { return true }
        return IPAddress(host: host).map { $0.isLoopback || addresses.contains($0) } ?? false
    }

    /// Whether it is one of the names that the server was told; in lower case.
    func isNamed(_ host: String) -> Bool {
        names.contains(host) || domains.contains { host.hasSuffix($0) }
    }
}

extension UInt8 {
    /// Letters, digits, hyphens; underscores, which names inside a network may have.
    fileprivate var isHostLetter: Bool {
        switch self {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x5f: true
        default: false
        }
    }
}
