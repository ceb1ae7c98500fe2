/// Entity tags and what a client says about those it holds (RFC 9110, sections 8.8.3 and 13.1).
///
/// No tag of ours holds a comma, so that a comma always parts two tags.
package enum EntityTag {
    /// Whether `If-None-Match` names `tag`: `*` or a list, compared weakly (section 13.1.2).
    package static func isNamed(_ tag: String, in field: String) -> Bool {
        field == "*" || field.listMembers().contains { opaque($0) == opaque(tag[...]) }
    }

    /// Whether `If-Match` holds of `tag`: `*` or a list, compared strongly (section 13.1.1).
    package static func isMatched(_ tag: String, by field: String) -> Bool {
        field == "*" || field.listMembers().contains { isSame(tag, as: $0) }
    }

    /// Whether both are the same tag and strong, as `If-Range` wants it (section 13.1.5).
    package static func isSame(_ tag: String, as other: some StringProtocol) -> Bool {
        !tag.hasPrefix("W/") && tag == other
    }

    private static func opaque(_ tag: Substring) -> Substring {
        tag.hasPrefix("W/") ? tag.dropFirst(2) : tag
    }
}
