import HTTPWire
import RawJSON
package import WebServer

extension Route {
    /// The same, refusing bodies of other media types before they are sent; those in lower case.
    package func taking(_ types: StaticString...) -> Route {
        refusing { head in
            for type in types where head.hasContentType(type) { return nil }
            let sent = head.field("content-type") ?? ""
            return Problem(
                415, "wrong-content-type", "The Content-Type is not taken here",
                "Send Content-Type: \(types.map(\.description).joined(separator: " or ")), "
                    + "not \"\(sent)\".",
                at: JSONPointer()
            ).response
        }
    }
}
