import HTTPWire
import RawJSON
package import WebServer

extension Route {
    /// The same, refusing bodies of other media types before they are sent; those in lower case.
    package func taking(_ types: StaticString...) -> Route {
        refusing { head in
            for type in types where head.hasContentType(type) {
                return head.field("content-encoding").flatMap(refusal(ofCoding:))
            }
            let sent = head.field("content-type") ?? ""
            return Problem(
                415, "wrong-content-type", "The Content-Type is not taken here",
                "Send Content-Type: \(types.map(\.description).joined(separator: " or ")), "
                    + "not \"\(sent)\".",
                at: JSONPointer()
            ).response
        }
    }
    /// RFC 9110, section 8.4: a body that is coded is not what its type says.
    private func refusal(ofCoding coding: String) -> HTTPResponse? {
        guard coding.lowercased() != "identity" else { return nil }
        var response = Problem(
            415, "wrong-content-encoding", "The Content-Encoding is not taken here",
            "Send the body as it is, without Content-Encoding: \(coding).", at: JSONPointer()
        ).response
        // Section 12.5.3: what would be taken.
        response.fields.append(("Accept-Encoding", "identity"))
        return response
    }
}
