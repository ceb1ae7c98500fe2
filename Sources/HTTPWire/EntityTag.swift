/// Entity tags and what a client says about those it holds (RFC 9110, sections 8.8.3 and 13.1).
package enum EntityTag {
    /// Whether `If-None-Match` names `tag`: `*` or a list, compared weakly (section 13.1.2).
    package static func isNamed(_ tag: String, in field: String) -> Bool {
        field == "*" || members(field).contains { opaque($0) == opaque(tag[...]) }
    }

    /// Whether `If-Match` holds of `tag`: `*` or a list, compared strongly (section 13.1.1).
    package static func isMatched(_ tag: String, by field: String) -> Bool {
        field == "*" || members(field).contains { isSame(tag, as: $0) }
    }

    /// Whether both are the same tag and strong, as `If-Range` wants it (section 13.1.5).
    package static func isSame(_ tag: String, as other: some StringProtocol) -> Bool {
        !tag.hasPrefix("W/") && tag == other
    }

    /// No tag of ours holds a comma, so that a comma always parts two tags.
    private static func members(_ field: String) -> [Substring] {
        field.split(separator: ",").compactMap { member in
            let start = member.drop { $0 == " " || $0 == "\t" }
            return start.lastIndex { $0 != " " && $0 != "\t" }.map { start[...$0] }
        }
    }

    private static func opaque(_ tag: Substring) -> Substring {
        tag.hasPrefix("W/") ? tag.dropFirst(2) : tag
    }
}
