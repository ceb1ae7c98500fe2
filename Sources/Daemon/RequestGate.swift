import HTTPWire
import JobsAPI
import Sockets
import WebServer

/// Whose requests are let in, looked at before their bodies are read.
///
///     Host ──► page of another site? ──► token ──► route
struct RequestGate: Sendable {
    /// The names that the operator has given the server; and its addresses.
    private let names: AllowedHosts
    private let hosts: AllowedHosts
    /// Without a token it is all that keeps a page with a name of its own from what listens here;
    /// with one, which no browser sends by itself, it is asked for only when names were given.
    private let checksHost: Bool
    /// `bearer` and each of the tokens; empty when none is wanted.
    private let credentials: [[UInt8]]
    /// Pages that hold nothing of the server's.
    private let openPaths: Set<String>

    /// - Parameters:
    ///   - configuration: the server's.
    ///   - openPaths: for which no token is asked.
    ///   - workerToken: as good as the configured one.
    init(_ configuration: Configuration, openPaths: Set<String>, workerToken: String?) {
        let given = configuration.allowedHosts.flatMap { $0.split(separator: ",").map(String.init) }
        names = AllowedHosts(given)
        hosts = AllowedHosts(given + configuration.listen.compactMap(\.name))
        checksHost = configuration.token == nil || !configuration.allowedHosts.isEmpty
        let tokens = [configuration.token, workerToken].compactMap(\.self)
        credentials = configuration.token == nil ? [] : tokens.map { Array("bearer \($0)".utf8) }
        self.openPaths = openPaths
    }

    /// The answer to a request that is not let in; nil for all others.
    func refusal(of request: HTTPRequest) -> HTTPResponse? {
        let head = request.head
        let isProbe = head.isPath("/healthz") || head.isPath("/readyz")
        if checksHost, !isProbe, !request.client.isLocal, !hosts.contain(hostOf: head) {
            return Self.misdirected(head.authority ?? "").response
        }
        if request.isCrossSite(names) { return Self.crossSite.response }
        guard !credentials.isEmpty, !isProbe, !hasCredentials(head),
            !openPaths.contains(head.path)
        else { return nil }
        var refused = Self.unauthorized.response
        refused.fields.append(("WWW-Authenticate", "Bearer"))
        return refused
    }

    private func hasCredentials(_ head: RequestHead) -> Bool {
        guard let field = head.field("authorization") else { return false }
        // RFC 9110, section 11.1: the scheme in whatever case.
        let sent = Array(field.prefix(6).lowercased().utf8) + Array(field.dropFirst(6).utf8)
        return credentials.contains { Self.isEqual(sent, $0) }
    }

    /// Takes as long for a near miss as for a far one.
    private static func isEqual(_ sent: [UInt8], _ wanted: [UInt8]) -> Bool {
        var difference = sent.count ^ wanted.count
        for index in wanted.indices {
            difference |= Int(wanted[index] ^ (index < sent.count ? sent[index] : 0))
        }
        return difference == 0
    }

    // RFC 9110, section 15.5.20.
    private static func misdirected(_ authority: String) -> Problem {
        Problem(
            421, "host-not-allowed", "The server does not go by this name",
            "The Host \"\(authority)\" is none of the server's names. Ask for localhost or an address"
                + " of the loopback, or have --allowed-hosts name it.")
    }

    private static let crossSite = Problem(
        403, "cross-site", "A page of another site sends this",
        "Pages of other sites are not let in. Send the request from a program, or from the server's"
            + " own page.")

    private static let unauthorized = Problem(
        401, "unauthorized", "A token is wanted",
        "Send Authorization: Bearer TOKEN with the server's token.")
}

extension ListenAddress {
    /// The host by which it may be asked for; nil for all addresses of the machine and for a file.
    fileprivate var name: String? {
        guard case .internet(let host, _) = self, host != "0.0.0.0", host != "::" else {
            return nil
        }
        return host
    }
}
