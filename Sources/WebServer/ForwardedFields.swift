import HTTPWire
import Sockets

/// By which fields a trusted proxy says who sent a request.
///
/// Only one of them is believed: a proxy that sets the one passes on what a client wrote into the other.
package enum ForwardedHeader: String, CaseIterable, Sendable {
    /// `X-Forwarded-For` and `X-Forwarded-Proto`, which nginx, Traefik and load balancers set.
    case xForwardedFor = "x-forwarded-for"
    /// `Forwarded` (RFC 7239).
    case forwarded
}

/// Who sent a request that came through proxies.
enum ForwardedFields {
    /// The last address in the chain that is not a trusted proxy; nil when the field says none.
    ///
    /// What stands before it was written by somebody who is not trusted.
    static func client(
        of head: RequestHead, behind proxies: [AddressRange], by header: ForwardedHeader,
    ) -> String? {
        let chain =
            switch header {
            case .xForwardedFor: head.field("x-forwarded-for").map(plain)
            case .forwarded: head.field("forwarded").map(forwarded)
            }
        var client: PeerAddress?
        for hop in (chain ?? []).reversed() {
            guard let address = hop.flatMap(PeerAddress.init) else { break }
            client = address
            if !proxies.contains(where: { $0.contains(address) }) { break }
        }
        return client?.description
    }

    /// Whether the last proxy was reached by TLS; nil when it does not say.
    static func isSecure(_ head: RequestHead, by header: ForwardedHeader) -> Bool? {
        switch header {
        case .xForwardedFor:
            head.field("x-forwarded-proto").map {
                $0.listMembers().last?.lowercased() == "https"
            }
        case .forwarded:
            head.field("forwarded").flatMap { field in
                parameter("proto", ofEach: field).last?.map { $0.lowercased() == "https" }
            }
        }
    }

    private static func plain(_ field: String) -> [String?] {
        field.listMembers().map(withoutPort)
    }

    private static func forwarded(_ field: String) -> [String?] {
        parameter("for", ofEach: field).map { $0.flatMap(withoutPort) }
    }

    /// A parameter of each hop; nil where the hop does not have it.
    private static func parameter(_ name: String, ofEach field: String) -> [String?] {
        field.listMembers().map { hop in
            for pair in hop.listMembers(by: ";") {
                let parts = pair.split(separator: "=", maxSplits: 1)
                guard parts.count == 2, parts[0].withoutBlanks.lowercased() == name else {
                    continue
                }
                return parts[1].withoutBlanks.filter { $0 != "\"" }
            }
            return nil
        }
    }

    private static func withoutPort(_ text: some StringProtocol) -> String? {
        if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
            return String(text[text.index(after: text.startIndex)..<end])
        }
        // One colon is a port's; an IPv6 address has more.
        guard text.filter({ $0 == ":" }).count == 1 else { return String(text) }
        return text.firstIndex(of: ":").map { String(text[..<$0]) }
    }
}
