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
