/// The request line and header fields of a request.
package struct RequestHead: Sendable {
    package let method: String
    /// As sent, without the query.
    package let path: String
    /// After the `?`, as sent; empty when there is none.
    package let query: String
    package let isHTTP10: Bool
    /// Names in lower case, in the order of sending.
    package let fields: [(name: String, value: String)]
    package let body: BodyLength

    /// How the end of the body is told (RFC 9112, section 6.3).
    package enum BodyLength: Sendable, Equatable {
        case none
        case bytes(Int)
        case chunked
    }

    /// All values of a field, joined as RFC 9110, section 5.3 allows; nil when it was not sent.
    package func field(_ name: String) -> String? {
        let values = fields.filter { $0.name == name }.map(\.value)
        return values.isEmpty ? nil : values.joined(separator: ", ")
    }

    /// Whether the connection may serve another request (RFC 9112, section 9.3).
    package var keepsAlive: Bool {
        let options = field("connection")?.lowercased().split(separator: ",").map {
            $0.filter { $0 != " " && $0 != "\t" }
        }
        if options?.contains("close") == true { return false }
        return !isHTTP10 || options?.contains("keep-alive") == true
    }

    /// Whether the client waits for `100 Continue` (RFC 9110, section 10.1.1).
    package var expectsContinue: Bool {
        !isHTTP10 && field("expect")?.lowercased() == "100-continue"
    }
}

/// Why a request is refused before anyone looks at what it asks.
package struct HTTPRefusal: Error, Equatable, Sendable {
    package let status: Int
    /// For a person.
    package let detail: String

    package init(_ status: Int, _ detail: String) {
        self.status = status
        self.detail = detail
    }
}

/// Limits of what a request may be.
package struct HTTPLimits: Sendable {
    /// Bytes of the request line; past it 414.
    package var lineBytes = 8 << 10
    /// Bytes of request line and fields together; past it 431.
    package var headBytes = 32 << 10
    /// Number of fields; past it 431.
    package var fields = 100
    /// Bytes of a body; past it 413.
    package var bodyBytes = 64 << 20

    package init() {}
}
