import HTTPWire

/// What every answer tells browsers, so that nothing of it can be shown, run, framed or read by pages
/// of others (OWASP REST Security Cheat Sheet, "Security headers").
///
/// The bytes are the same for all answers of a kind. `X-Frame-Options` is left out, which
/// `frame-ancestors` replaces; `Access-Control-…` is never sent: no page of another origin may read.
struct SecurityFields {
    /// HTTP/1.1's lines.
    private let everywhere = Self.lines(Self.everywhere)
    private let ofData = Self.lines([Self.dataPolicy])
    private let uncached = Self.lines([Self.noStore])
    private let revalidated = Self.lines([Self.noCache])
    /// Of encrypted answers; empty unless it is set.
    private let encrypted: [UInt8]
    private let strictTransport: [UInt8]

    private typealias Field = (name: StaticString, value: StaticString)

    private static let everywhere: [Field] = [
        ("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
    ]
    /// A page has a policy of its own.
    private static let dataPolicy: Field = (
        "content-security-policy", "default-src 'none'; frame-ancestors 'none'"
    )
    /// What has no ETag may not be kept; what has one is asked about each time.
    private static let noStore: Field = ("cache-control", "no-store")
    private static let noCache: Field = ("cache-control", "private, no-cache")

    /// - Parameter strictTransportSeconds: 0 for none. RFC 6797 has a whole host promise TLS, at
    ///   each of its ports, which a server at one of them cannot know: its operator says so.
    init(strictTransportSeconds: Int) {
        strictTransport =
            strictTransportSeconds > 0 ? Array("max-age=\(strictTransportSeconds)".utf8) : []
        encrypted =
            strictTransport.isEmpty
            ? [] : Array("Strict-Transport-Security: ".utf8) + strictTransport + [13, 10]
    }

    /// Which of them an answer has in its own words.
    private struct OwnWords {
        var hasPolicy = false
        var hasCaching = false
        var hasTag = false

        init(_ response: HTTPResponse) {
            for (name, _) in response.fields {
                switch name {
                case "ETag": hasTag = true
                case "Cache-Control": hasCaching = true
                case "Content-Security-Policy": hasPolicy = true
                default: break
                }
            }
        }
    }

    /// Appends the lines to the head of an answer of HTTP/1.1.
    func write(for response: HTTPResponse, _ client: HTTPClient, to output: inout HTTP1Writer) {
        let own = OwnWords(response)
        output.bytes += everywhere
        if !own.hasPolicy { output.bytes += ofData }
        if !own.hasCaching { output.bytes += own.hasTag ? revalidated : uncached }
        // RFC 6797, section 7.2: never unless encrypted.
        if client.isSecure { output.bytes += encrypted }
    }

    /// Adds the fields to those of an answer of HTTP/2.
    func add(for response: HTTPResponse, _ client: HTTPClient, to block: inout HTTP2FieldBlock) {
        let own = OwnWords(response)
        for field in Self.everywhere { block.own(field.name, field.value) }
        if !own.hasPolicy { block.own(Self.dataPolicy.name, Self.dataPolicy.value) }
        if !own.hasCaching {
            let caching = own.hasTag ? Self.noCache : Self.noStore
            block.own(caching.name, caching.value)
        }
        if client.isSecure, !strictTransport.isEmpty {
            block.own("strict-transport-security") { $0 += strictTransport }
        }
    }

    /// As HTTP/1.1 writes them, where names are in capitals by custom: `X-Content-Type-Options`.
    private static func lines(_ fields: [Field]) -> [UInt8] {
        fields.flatMap { field in
            let words = "\(field.name)".split(separator: "-")
            let name = words.map { $0.prefix(1).uppercased() + $0.dropFirst() }
            return Array("\(name.joined(separator: "-")): \(field.value)\r\n".utf8)
        }
    }
}
