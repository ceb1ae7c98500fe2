/// What of a handler's fields goes into an answer, by whatever version of HTTP it leaves.
package enum ResponseFields {
    /// Whether a field of that name, in whatever case, may be a handler's: the name is a token (RFC 9110,
    /// section 5.6.2), and not of a field by which the server itself tells the message's length or
    /// manages the connection (sections 7.6.1 and 8.6; RFC 9113, section 8.2.2).
    package static func areOfHandlers(_ name: String) -> Bool {
        var name = name
        return name.withUTF8 { octets in
            let span = octets.span
            guard !octets.isEmpty, octets.allSatisfy(\.isToken) else { return false }
            return !serversOwn.contains { span.equalsIgnoringCase($0) }
        }
    }

    private static let serversOwn: [StaticString] = [
        "connection", "content-length", "keep-alive", "proxy-connection", "transfer-encoding",
        "upgrade",
    ]
}

extension String {
    /// Compares the name of a field, which is to be given in lower case (RFC 9110, section 5.1).
    package func isFieldName(_ name: StaticString) -> Bool {
        guard utf8.count == name.utf8CodeUnitCount else { return false }
        return name.withUTF8Buffer { wanted in
            zip(utf8, wanted).allSatisfy { $0.lowercased == $1 }
        }
    }
}
