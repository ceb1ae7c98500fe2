/// Fields that are lists (RFC 9110, section 5.6.1).
///
/// All looks at octets, not at characters: one such as U+0600 makes one character of itself and the comma behind
/// it, and a client would have what a proxy adds read as its own words.
extension StringProtocol where SubSequence == Substring {
    /// The members, without blanks around them; empty ones are left out.
    package func listMembers(by separator: Unicode.Scalar = ",") -> [Substring] {
        Substring(self).utf8.split(separator: UInt8(ascii: separator))
            .map { Substring($0).withoutBlanks }.filter { !$0.isEmpty }
    }

    /// What stands before the first of a separator, and behind it; nil for that where there is none.
    package func parts(at separator: Unicode.Scalar) -> (Substring, Substring?) {
        let text = Substring(self)
        guard let place = text.utf8.firstIndex(of: UInt8(ascii: separator)) else {
            return (text, nil)
        }
        return (text[..<place], text[text.utf8.index(after: place)...])
    }
}

extension Substring {
    /// Without the blanks at either end (RFC 9110, section 5.6.3).
    package var withoutBlanks: Substring {
        let start = utf8.drop(while: \.isBlank)
        guard let last = start.lastIndex(where: { !$0.isBlank }) else { return "" }
        return Substring(start[...last])
    }

    /// What a quoted string that has no escapes in it stands for (RFC 9110, section 5.6.4); itself where
    /// it is none.
    package var withoutQuotes: String {
        let quote = UInt8(ascii: "\"")
        guard utf8.count >= 2, utf8.first == quote, utf8.last == quote else { return String(self) }
        return String(Substring(utf8.dropFirst().dropLast()))
    }
}
