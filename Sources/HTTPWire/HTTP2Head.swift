/// Puts the head of an HTTP/2 request together (RFC 9113, section 8.3) and reads it by the rules of
/// HTTP/1.1, so that what is refused in one version is refused in the other.
///
/// Made once for a connection: the field blocks of its streams never mingle (section 4.3).
package struct HTTP2HeadBuilder: Sendable {
    private let limits: HTTPLimits
    private var method: [UInt8] = []
    private var scheme: [UInt8] = []
    private var path: [UInt8] = []
    private var authority: [UInt8] = []
    private var host: [UInt8] = []
    private var fields: [UInt8] = []
    private var count = 0
    private var listBytes = 0

    package init(limits: HTTPLimits) { self.limits = limits }

    /// Gives back the room that a large head has taken, which a connection would keep while it is idle.
    package mutating func letGo() {
        if fields.capacity + path.capacity > 4 << 10 { self = HTTP2HeadBuilder(limits: limits) }
    }

    /// Forgets what was added.
    package mutating func begin() {
        method.removeAll(keepingCapacity: true)
        scheme.removeAll(keepingCapacity: true)
        path.removeAll(keepingCapacity: true)
        authority.removeAll(keepingCapacity: true)
        host.removeAll(keepingCapacity: true)
        fields.removeAll(keepingCapacity: true)
        count = 0
        listBytes = 0
    }

    /// Weighs a field of a head or trailer; false when the list is so far over its limit that it was
    /// not made in good faith: a few octets may stand for many (RFC 9113, section 10.5.1).
    package mutating func weigh(_ name: Span<UInt8>, _ value: Span<UInt8>) -> Bool {
        // Section 6.5.2: what a field weighs against the limit.
        listBytes += name.count + value.count + 32
        return listBytes <= 4 * limits.headBytes
    }

    /// Adds a field; false as `weigh` says.
    ///
    /// Whoever reads the frames has seen to it that the octets may stand in a field, CR and LF not among
    /// them, and that the names that begin with a colon are those of a request and come once, as does `host`
    /// (RFC 9113, sections 8.2.1 and 8.3).
    package mutating func add(_ name: Span<UInt8>, _ value: Span<UInt8>) -> Bool {
        assert(value.endOfContent(from: 0) == value.count, "the octets of fields are to be checked")
        let isBearable = weigh(name, value)
        guard listBytes <= limits.headBytes else { return isBearable }
        if name.equals(":method") {
            Self.append(value, to: &method)
        } else if name.equals(":scheme") {
            Self.append(value, to: &scheme)
        } else if name.equals(":path") {
            Self.append(value, to: &path)
        } else if name.equals(":authority") {
            Self.append(value, to: &authority)
        } else if name.equals("host") {
            Self.append(value, to: &host)
        } else if !name.hasPrefix(":") {
            count += 1
            Self.append(name, to: &fields)
            Self.append(": ", to: &fields)
            Self.append(value, to: &fields)
            Self.append("\r\n", to: &fields)
        }
        return true
    }

    /// The head of all that was added.
    ///
    /// - Throws: the answer to a request that breaks a rule; the stream is to be ended.
    package func head() throws(HTTPRefusal) -> RequestHead {
        let head = try parsed()
        guard listBytes <= limits.headBytes else {
            throw HTTPRefusal.headTooLarge(limits.headBytes).of(head)
        }
        guard count <= limits.fields else {
            throw HTTPRefusal.tooManyFields(limits.fields).of(head)
        }
        // Section 8.3.1: Host may repeat the authority, not differ from it.
        guard host.isEmpty || authority.isEmpty || isSame(host, authority) else {
            throw HTTPRefusal(400, "The Host field differs from :authority.").of(head)
        }
        // Section 8.3.1: a path and no URI, of a scheme that is HTTP's; the asterisk the parser has checked.
        guard path.first == UInt8(ascii: "/") || path == [UInt8(ascii: "*")] else {
            throw HTTPRefusal(400, "The :path must begin with a slash.").of(head)
        }
        guard isHTTP || isHTTPS else {
            throw HTTPRefusal(400, "The :scheme must be http or https.").of(head)
        }
        return head
    }

    private var isHTTP: Bool { scheme.span.equalsIgnoringCase("http") }
    private var isHTTPS: Bool { scheme.span.equalsIgnoringCase("https") }

    /// RFC 3986, section 6.2: whatever the case, and with the scheme's own port or without.
    private func isSame(_ one: [UInt8], _ other: [UInt8]) -> Bool {
        normalized(one).elementsEqual(normalized(other))
    }

    private func normalized(_ authority: [UInt8]) -> some Sequence<UInt8> {
        let port: StaticString = isHTTPS ? ":443" : ":80"
        let hasPort = authority.span.extracting(last: port.utf8CodeUnitCount).equals(port)
        return authority.dropLast(hasPort ? port.utf8CodeUnitCount : 0).lazy.map(\.lowercased)
    }

    private func parsed() throws(HTTPRefusal) -> RequestHead {
        var text: [UInt8] = []
        text.reserveCapacity(method.count + path.count + authority.count + fields.count + 40)
        text += method
        text.append(UInt8(ascii: " "))
        text += path.isEmpty ? authority : path
        Self.append(" HTTP/2.0\r\n", to: &text)
        Self.append("host: ", to: &text)
        text += authority.isEmpty ? host : authority
        Self.append("\r\n", to: &text)
        text += fields
        Self.append("\r\n", to: &text)
        var whole = limits
        // They are weighed without the octets that only HTTP/1.1 has.
        whole.headBytes = text.count
        whole.fields = count + 1
        var parser = HTTP1Parser(limits: whole, admitsHTTP2: true)
        guard let found = try parser.parse(text.span), found.length == text.count else {
            throw HTTPRefusal(400, "The request is malformed.")
        }
        return found.head
    }

    private static func append(_ text: StaticString, to bytes: inout [UInt8]) {
        text.withUTF8Buffer { bytes.append(contentsOf: $0) }
    }

    private static func append(_ text: Span<UInt8>, to bytes: inout [UInt8]) {
        text.withUnsafeBufferPointer { bytes.append(contentsOf: $0) }
    }
}
