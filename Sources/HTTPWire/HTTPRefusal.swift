/// Why a request is refused before anyone looks at what it asks.
package struct HTTPRefusal: Error, Sendable {
    package let status: Int
    /// For a person.
    package let detail: String
    private var request = Request.unknown

    /// Boxed, so that what is hardly ever thrown is small.
    private indirect enum Request {
        case unknown
        case head(RequestHead)
    }

    package init(_ status: Int, _ detail: String) {
        self.status = status
        self.detail = detail
    }

    /// What was read of the request's head, a stand-in without path and fields where its first line could
    /// not be; nil when it was not the head that broke a rule.
    package var head: RequestHead? {
        if case .head(let head) = request { head } else { nil }
    }

    /// The same as the answer to a request with this head.
    func of(_ head: RequestHead) -> HTTPRefusal {
        var refusal = self
        refusal.request = .head(head)
        return refusal
    }
}

/// Refusals that several places give.
extension HTTPRefusal {
    /// RFC 9110, section 15.5.14.
    package static func bodyTooLarge(_ limit: Int) -> HTTPRefusal {
        HTTPRefusal(413, "The body is over \(limit) bytes.")
    }

    /// RFC 9110, section 15.5.9.
    package static let bodyTooSlow = HTTPRefusal(408, "The request's body took too long.")

    // RFC 6585, section 5.
    static func headTooLarge(_ limit: Int) -> HTTPRefusal {
        HTTPRefusal(431, "The request's head is over \(limit) bytes.")
    }

    // RFC 6585, section 5.
    static func tooManyFields(_ limit: Int) -> HTTPRefusal {
        HTTPRefusal(431, "More than \(limit) header fields.")
    }
}
