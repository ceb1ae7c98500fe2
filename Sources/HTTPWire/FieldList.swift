/// Fields that are lists (RFC 9110, section 5.6.1).
extension StringProtocol where SubSequence == Substring {
    /// The members, without blanks around them; empty ones are left out.
    package func listMembers(by separator: Character = ",") -> [Substring] {
        split(separator: separator).map(\.withoutBlanks).filter { !$0.isEmpty }
    }
}

extension Substring {
    /// Without the blanks at either end (RFC 9110, section 5.6.3).
    package var withoutBlanks: Substring {
        let start = drop { $0 == " " || $0 == "\t" }
        guard let last = start.lastIndex(where: { $0 != " " && $0 != "\t" }) else { return "" }
        return start[...last]
    }
}
