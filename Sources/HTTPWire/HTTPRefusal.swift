/// Why a request is refused before anyone looks at what it asks.
package struct HTTPRefusal: Error, Equatable, Sendable {
    package let status: Int
    /// For a person.
    package let detail: String
    /// Of the request, if it could be read: what answers HEAD has no content.
    package private(set) var method = HTTPMethod.other

    package init(_ status: Int, _ detail: String) {
        self.status = status
        self.detail = detail
    }

    /// The same as the answer to a request with this method.
    func of(_ method: HTTPMethod) -> HTTPRefusal {
        var refusal = self
        refusal.method = method
        return refusal
    }
}
