/// The request line and header fields of a request, checked, as the bytes that were sent.
///
/// Strings are made when they are asked for: most requests are routed and answered without any.
package struct RequestHead: Sendable {
    /// All of the head, to the end of its empty line.
    package let bytes: [UInt8]
    package let method: HTTPMethod
    package let version: Version
    /// Where the path and the query stand in `bytes`; the query without its question mark.
    package let pathRange: Range<Int>
    package let queryRange: Range<Int>
    let methodRange: Range<Int>
    let fieldsStart: Int
    /// A Bloom filter of the fields' names: most questions for one that was not sent end here.
    let nameMarks: UInt64
    /// Where the authority of the request's URI stands in `bytes`; nil when none was sent.
    let authorityRange: Range<Int>?
    /// Where the value of `Content-Type` stands in `bytes`; empty when it was sent twice.
    let contentType: Range<Int>?
    package let body: BodyLength
    /// Whether the connection may serve another request (RFC 9112, section 9.3).
    package let keepsAlive: Bool
    /// What the client wants to hear before it sends the body (RFC 9110, section 10.1.1).
    package let expectation: Expectation
    /// Whether `Upgrade: h2c` is asked for with all that belongs to it (RFC 7540, section 3.2).
    package let upgradesToHTTP2: Bool
    /// Whether the target is a URI of the scheme `https`, which is to be answered by TLS alone (RFC 9110,
    /// section 7.4).
    package let isForTLS: Bool
    /// Whether the target is `*` (RFC 9112, section 3.2.4).
    package var isAsterisk: Bool { pathRange.isEmpty && !methodRange.isEmpty }

    /// Stands for a head that broke a rule: no path, no fields.
    package static func unreadable(
        _ version: Version, method: HTTPMethod,
    ) -> RequestHead {
        RequestHead(
            bytes: Array("\r\n".utf8), method: method, version: version, pathRange: 0..<0,
            queryRange: 0..<0, methodRange: 0..<0, fieldsStart: 0, nameMarks: 0,
            authorityRange: nil, contentType: nil, body: .none, keepsAlive: false,
            expectation: .nothing, upgradesToHTTP2: false, isForTLS: false)
    }

    package enum Version: Sendable { case http10, http11, http2 }

    /// How the end of the body is told (RFC 9112, section 6.3).
    package enum BodyLength: Sendable, Equatable {
        case none
        case bytes(Int)
        case chunked
    }

    package enum Expectation: Sendable { case nothing, `continue` }

    package var isHTTP10: Bool { version == .http10 }

    /// The method as sent.
    package var methodText: String { bytes.span.extracting(methodRange).text }

    /// As sent, without the query.
    package var path: String {
        isAsterisk ? "*" : methodRange.isEmpty ? "" : bytes.span.extracting(pathRange).text
    }

    /// Whether the path has octets that are percent-encoded.
    package var hasEscapesInPath: Bool {
        let path = bytes.span.extracting(pathRange)
        return path.index(of: UInt8(ascii: "%"), from: 0) < path.count
    }

    /// After the `?`, as sent; empty when there is none.
    package var query: String { bytes.span.extracting(queryRange).text }

    /// Compares the path, as sent, without making a string of it.
    package func isPath(_ path: StaticString) -> Bool {
        bytes.span.extracting(pathRange).equals(path)
    }

    /// All values of a field, joined as RFC 9110, section 5.3 allows; nil when it was not sent.
    ///
    /// The name is to be given in lower case. Not for `cookie`, whose values a comma does not part (RFC
    /// 9113, section 8.2.3).
    package func field(_ name: StaticString) -> String? {
        guard nameMarks & Self.mark(name) != 0 else { return nil }
        var found: String?
        forEachField { fieldName, value in
            guard fieldName.equalsIgnoringCase(name) else { return }
            found = found.map { "\($0), \(value.text)" } ?? value.text
        }
        return found
    }

    /// Whether the `Content-Type` was sent once and names this media type (RFC 9110, section 8.3.1),
    /// which is to be given in lower case; its parameters do not matter.
    package func hasContentType(_ type: StaticString) -> Bool {
        guard let contentType else { return false }
        let value = bytes.span.extracting(contentType)
        let count = type.utf8CodeUnitCount
        guard value.count >= count, value.extracting(first: count).equalsIgnoringCase(type) else {
            return false
        }
        return value.count == count || value[count] == UInt8(ascii: ";") || value[count].isBlank
    }

    /// Names in lower case, in the order of sending.
    package var fields: [(name: String, value: String)] {
        var all: [(name: String, value: String)] = []
        forEachField { name, value in all.append((name.text.lowercased(), value.text)) }
        return all
    }

    /// Calls `body` with every field, the name as sent, the value without blanks around it.
    @inline(__always)
    package func forEachField(_ body: (_ name: Span<UInt8>, _ value: Span<UInt8>) -> Void) {
        let span = bytes.span
        var start = fieldsStart
        // The parser has seen to it that each line is a name, a colon, a value and CRLF.
        while span[start] != UInt8(ascii: "\r") {
            let colon = span.index(of: UInt8(ascii: ":"), from: start)
            let end = span.index(of: UInt8(ascii: "\r"), from: colon)
            body(
                span.extracting(start..<colon),
                span.extracting(span.trimmed(colon + 1..<end)))
            start = end + 2
        }
    }

    /// One of 64 bits for a field's name, by its length and first letter in whatever case.
    static func mark(_ first: UInt8, _ count: Int) -> UInt64 {
        1 &<< UInt64(truncatingIfNeeded: count &+ 7 &* Int(first & 0x1f))
    }

    private static func mark(_ name: StaticString) -> UInt64 {
        mark(name.utf8Start.pointee, name.utf8CodeUnitCount)
    }
}
