/// The first line of a request (RFC 9112, section 3): where its parts stand.
struct RequestLine {
    let method: Range<Int>
    let methodKind: HTTPMethod
    /// Of a target in absolute form; nil in all others.
    let authority: Range<Int>?
    /// Whether the target is a URI of the scheme `https`.
    let isHTTPS: Bool
    let path: Range<Int>
    let query: Range<Int>
    let version: RequestHead.Version
    /// Octets of the line without its CRLF.
    let count: Int

    /// Reads a line without its CRLF, in which there is no other control character than tabs.
    init(_ bytes: Span<UInt8>, admitsHTTP2: Bool) throws(HTTPRefusal) {
        count = bytes.count
        var index = 0
        while index < bytes.count, bytes[index].isToken { index += 1 }
        // Section 3: exactly two single spaces.
        guard index > 0, index < bytes.count, bytes[index] == UInt8(ascii: " ") else {
            throw HTTPRefusal(400, "The method is malformed.")
        }
        method = 0..<index
        // Section 3: 501 for a method longer than any that is known.
        guard index <= HTTPLimits.methodBytes else {
            throw HTTPRefusal(501, "The method is not known.")
        }
        methodKind = HTTPMethod(bytes.extracting(method))

        let start = index + 1
        index = start
        // Section 3.2 and RFC 3986: visible ASCII without the fragment's mark.
        while index < bytes.count, bytes[index] > 0x20, bytes[index] < 0x7f,
            bytes[index] != UInt8(ascii: "#")
        {
            index += 1
        }
        guard index > start, index < bytes.count, bytes[index] == UInt8(ascii: " ") else {
            throw HTTPRefusal(400, "The request target is malformed.")
        }
        let target = start..<index
        version = try Self.version(bytes.extracting((index + 1)...), admitsHTTP2: admitsHTTP2)
        (authority, path, query) = try Self.split(bytes, target, methodKind)
        // The authority of `http://` begins one octet sooner.
        isHTTPS = authority.map { $0.lowerBound - target.lowerBound == 8 } ?? false
    }

    // Section 2.3; RFC 9110, section 2.5: a higher minor version is read as the highest known.
    private static func version(
        _ text: Span<UInt8>, admitsHTTP2: Bool,
    ) throws(HTTPRefusal) -> RequestHead.Version {
        if text.equals("HTTP/1.1") { return .http11 }
        if text.equals("HTTP/1.0") { return .http10 }
        guard text.count == 8, text.hasPrefix("HTTP/"), text[5].isDigit,
            text[6] == UInt8(ascii: "."), text[7].isDigit
        else { throw HTTPRefusal(400, "The HTTP version is malformed.") }
        if text[5] == UInt8(ascii: "1") { return .http11 }
        // RFC 9110, section 15.6.6.
        guard admitsHTTP2, text.equals("HTTP/2.0") else {
            throw HTTPRefusal(505, "This server speaks HTTP/1.1 and HTTP/2.")
        }
        return .http2
    }

    // Section 3.2: origin-form, absolute-form, authority-form and the asterisk.
    private static func split(
        _ bytes: Span<UInt8>, _ target: Range<Int>, _ method: HTTPMethod,
    ) throws(HTTPRefusal) -> (authority: Range<Int>?, path: Range<Int>, query: Range<Int>) {
        // 3.2.3 and RFC 9110, section 9.3.6: authority-form is for CONNECT alone.
        if method == .connect {
            throw HTTPRefusal(501, "This server is no proxy.")
        }
        let text = bytes.extracting(target)
        if text.equals("*") {
            // 3.2.4: for OPTIONS alone.
            guard method == .options else {
                throw HTTPRefusal(400, "The target * is for OPTIONS alone.")
            }
            return (
                nil, target.upperBound..<target.upperBound, target.upperBound..<target.upperBound
            )
        }
        var start = target.lowerBound
        var authority: Range<Int>?
        if bytes[start] != UInt8(ascii: "/") {
            let found = try Self.authority(bytes, target)
            authority = found
            start = found.upperBound
        }
        var mark = start
        while mark < target.upperBound, bytes[mark] != UInt8(ascii: "?") { mark += 1 }
        var path = start..<mark
        if path.isEmpty {
            // The path of `http://host` is `/`: one stands after the scheme's colon.
            let slash = target.lowerBound + (text[5] == UInt8(ascii: "/") ? 5 : 6)
            path = slash..<slash + 1
        }
        return (authority, path, min(mark + 1, target.upperBound)..<target.upperBound)
    }

    // 3.2.2: absolute-form; its authority is checked as Host is, and stands above it.
    private static func authority(
        _ bytes: Span<UInt8>, _ target: Range<Int>,
    ) throws(HTTPRefusal) -> Range<Int> {
        let text = bytes.extracting(target)
        var start = 0
        while start < text.count, text[start] != UInt8(ascii: ":") { start += 1 }
        let scheme = text.extracting(0..<start)
        guard scheme.equalsIgnoringCase("http") || scheme.equalsIgnoringCase("https"),
            text.extracting(start..<text.count).hasPrefix("://")
        else { throw HTTPRefusal(400, "The request target must begin with a slash.") }
        var end = start + 3
        while end < text.count, text[end] != UInt8(ascii: "/"), text[end] != UInt8(ascii: "?") {
            end += 1
        }
        guard Authority.isValid(text.extracting(start + 3..<end)) else {
            throw HTTPRefusal(400, "The host of the request target is malformed.")
        }
        return target.lowerBound + start + 3..<target.lowerBound + end
    }
}
