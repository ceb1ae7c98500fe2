/// Why a request is refused before anyone looks at what it asks.
package struct HTTPRefusal: Error, Equatable, Sendable {
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

    /// What was read of the request's head; nil where not even its first line could be.
    package var head: RequestHead? {
        if case .head(let head) = request { head } else { nil }
    }

    /// The same as the answer to a request with this head.
    func of(_ head: RequestHead) -> HTTPRefusal {
        var refusal = self
        refusal.request = .head(head)
        return refusal
    }

    package static func == (left: HTTPRefusal, right: HTTPRefusal) -> Bool {
        left.status == right.status && left.detail == right.detail
    }
}
