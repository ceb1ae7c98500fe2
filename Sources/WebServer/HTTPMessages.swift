package import HTTPWire

/// A request as a handler sees it.
package struct HTTPRequest: Sendable {
    package let head: RequestHead
    /// What stands in the route's places, decoded.
    package internal(set) var parameters: [String: String] = [:]
    /// The whole body; the server has read it within its limit.
    package internal(set) var body: [UInt8] = []

    package init(head: RequestHead) { self.head = head }

    /// The first value of a query parameter, decoded; nil when it is not there.
    package func query(_ name: String) -> String? {
        queryItems.first { $0.name == name }?.value
    }

    package var queryItems: [(name: String, value: String)] {
        head.query.split(separator: "&").map { item in
            let parts = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let value = parts.count > 1 ? String(parts[1]) : ""
            func plain(_ text: String) -> String {
                PercentEncoding.decode(String(text.map { $0 == "+" ? " " : $0 })) ?? text
            }
            return (plain(String(parts[0])), plain(value))
        }
    }
}

/// What a handler answers.
package struct HTTPResponse: Sendable {
    package enum Body: Sendable {
        case bytes([UInt8])
        /// Pieces until nil; each is asked for when the one before has been sent. An error cuts
        /// the connection, so that the client sees that the answer is not whole.
        case stream(@Sendable () async throws -> [UInt8]?)
    }

    package var status: Int
    package var fields: [(name: String, value: String)]
    package var body: Body

    package init(_ status: Int, fields: [(name: String, value: String)] = [], _ body: Body) {
        self.status = status
        self.fields = fields
        self.body = body
    }

    package init(_ status: Int, type: String, _ bytes: [UInt8]) {
        self.init(status, fields: [("Content-Type", type)], .bytes(bytes))
    }

    package static func json(_ status: Int, _ bytes: [UInt8]) -> HTTPResponse {
        HTTPResponse(status, type: "application/json", bytes)
    }
}

/// Percent-encoding of URIs (RFC 3986, section 2.1).
package enum PercentEncoding {
    /// Decodes once; nil when an escape is malformed or the result is not UTF-8.
    package static func decode(_ text: String) -> String? {
        guard text.utf8.contains(UInt8(ascii: "%")) else { return text }
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = rest.prefix(2)
            guard digits.count == 2,
                digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
            else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}
