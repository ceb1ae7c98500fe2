/// Entity tags and what a client says about those it holds (RFC 9110, sections 8.8.3 and 13.1).
package enum EntityTag {
    /// Whether `If-None-Match` names `tag`: `*` or a list, compared weakly (section 13.1.2).
    package static func isNamed(_ tag: String, in field: String) -> Bool {
        if field == "*" { return true }
        let wanted = opaque(tag[...])
        // No tag of ours holds a comma, so that a comma always parts two tags.
        return field.split(separator: ",").contains { member in
            opaque(member.drop { $0 == " " || $0 == "\t" }) == wanted
        }
    }

    /// The tag without the mark of weakness and without blanks behind it.
    private static func opaque(_ tag: Substring) -> Substring {
        let rest = tag.hasPrefix("W/") ? tag.dropFirst(2) : tag
        guard let quote = rest.lastIndex(of: "\"") else { return rest }
        return rest[...quote]
    }
}
