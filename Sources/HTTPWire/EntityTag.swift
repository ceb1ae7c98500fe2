/// Entity tags and what a client says about those it holds (RFC 9110, sections 8.8.3 and 13.1).
///
/// No tag of ours holds a comma, so that a comma always parts two tags; nor a hyphen, behind which stands by
/// what the content is coded.
package enum EntityTag {
    /// The tag of the same, coded: `"a1"` by gzip is `"a1-gzip"`.
    package static func coded(_ tag: String, by coding: String) -> String {
        tag.utf8.last == quote ? "\(tag.dropLast())-\(coding)\"" : tag
    }

    /// The weak one of the same opaque tag.
    package static func weak(_ tag: String) -> String { tag.hasPrefix("W/") ? tag : "W/" + tag }

    /// Whether `If-None-Match` names what has `tag`, however it is coded: `*` or a list, compared weakly
    /// (section 13.1.2).
    package static func isNamed(_ tag: String, in field: String) -> Bool {
        field == "*" || field.listMembers().contains { opaque(uncoded($0)) == opaque(tag) }
    }

    /// Whether `If-Match` holds of what has `tag`, however it was coded when the client read it: `*` or a
    /// list, compared strongly (section 13.1.1).
    package static func isMatched(_ tag: String, by field: String) -> Bool {
        field == "*" || field.listMembers().contains { isSame(tag, as: uncoded($0)) }
    }

    /// Whether both are the same tag and strong, as `If-Range` wants it (section 13.1.5).
    package static func isSame(_ tag: String, as other: some StringProtocol) -> Bool {
        !tag.hasPrefix("W/") && tag == other
    }

    private static let quote = UInt8(ascii: "\"")

    private static func opaque(_ tag: String) -> Substring {
        tag.hasPrefix("W/") ? tag.dropFirst(2) : tag[...]
    }

    private static func uncoded(_ tag: Substring) -> String {
        guard tag.utf8.last == quote, let hyphen = tag.utf8.lastIndex(of: UInt8(ascii: "-")) else {
            return String(tag)
        }
        return tag[..<hyphen] + "\""
    }
}
