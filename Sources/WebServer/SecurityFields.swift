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

    /// Which of them an answer needs besides those that all have.
    struct Needs: OptionSet {
        let rawValue: UInt8

        static let policy = Needs(rawValue: 1)
        static let noStore = Needs(rawValue: 2)
        static let noCache = Needs(rawValue: 4)
        static let strictTransport = Needs(rawValue: 8)
    }

    /// All that the answer does not say in its own words.
    func needs(of response: HTTPResponse, _ client: HTTPClient) -> Needs {
        var needs: Needs = [.policy, .noStore]
        var hasTag = false
        for (name, _) in response.fields {
            if name.isFieldName("etag") { hasTag = true }
            if name.isFieldName("cache-control") { needs.remove(.noStore) }
            if name.isFieldName("content-security-policy") { needs.remove(.policy) }
        }
        if hasTag, needs.remove(.noStore) != nil { needs.insert(.noCache) }
        // RFC 6797, section 7.2: never unless encrypted.
        if client.isSecure { needs.insert(.strictTransport) }
        return needs
    }

    /// Appends the lines to the head of an answer of HTTP/1.1.
    func write(_ needs: Needs, to output: inout HTTP1Writer) {
        output.bytes.append(everywhere)
        if needs.contains(.policy) { output.bytes.append(ofData) }
        if needs.contains(.noStore) { output.bytes.append(uncached) }
        if needs.contains(.noCache) { output.bytes.append(revalidated) }
        if needs.contains(.strictTransport) { output.bytes.append(encrypted) }
    }

    /// Adds the fields to those of an answer of HTTP/2.
    func add(_ needs: Needs, to block: inout HTTP2FieldBlock) {
        for field in Self.everywhere { block.own(field.name, field.value) }
        if needs.contains(.policy) { block.own(Self.dataPolicy.name, Self.dataPolicy.value) }
        if needs.contains(.noStore) { block.own(Self.noStore.name, Self.noStore.value) }
        if needs.contains(.noCache) { block.own(Self.noCache.name, Self.noCache.value) }
        if needs.contains(.strictTransport), !strictTransport.isEmpty {
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
