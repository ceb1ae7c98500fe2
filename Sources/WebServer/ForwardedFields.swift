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
        of head: RequestHead, behind proxies: [AddressBlock], by header: ForwardedHeader,
    ) -> PeerAddress? {
        let chain =
            switch header {
            case .xForwardedFor: head.field("x-forwarded-for").map(plain)
            case .forwarded: head.field("forwarded").map(forwarded)
            }
        var client: IPAddress?
        for hop in (chain ?? []).reversed() {
            guard let address = hop.flatMap({ IPAddress($0) }) else { break }
            client = address
            if !proxies.contains(where: { $0.contains(address) }) { break }
        }
        return client.map(PeerAddress.internet)
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
                let (found, value) = pair.parts(at: "=")
                if found.withoutBlanks.lowercased() == name {
                    return value?.withoutBlanks.withoutQuotes
                }
            }
            return nil
        }
    }

    /// `192.0.2.1:80`, `[2001:db8::1]:80` and what has no port, without it; nil where something else
    /// follows the address.
    private static func withoutPort(_ text: some StringProtocol) -> String? {
        let text = Substring(text)
        var (host, rest) = (text, Substring())
        if text.utf8.first == UInt8(ascii: "[") {
            guard let end = text.utf8.firstIndex(of: UInt8(ascii: "]")) else { return nil }
            host = text[text.utf8.index(after: text.startIndex)..<end]
            rest = text[text.utf8.index(after: end)...]
        } else if text.utf8.lazy.filter({ $0 == UInt8(ascii: ":") }).count == 1,
            // One colon is a port's; an IPv6 address has more.
            let colon = text.utf8.firstIndex(of: UInt8(ascii: ":"))
        {
            (host, rest) = (text[..<colon], text[colon...])
        }
        guard
            rest.isEmpty
                || rest.utf8.first == UInt8(ascii: ":")
                    && rest.utf8.dropFirst().allSatisfy({
                        (0x30...0x39).contains($0)
                    })
        else { return nil }
        return String(host)
    }
}
