/// What a `Range` field wants of content whose length is known (RFC 9110, section 14).
package enum ByteRange: Equatable {
    /// All of it: the field is of another unit, malformed, or wants several parts, which a server
    /// may answer with the whole (section 14.2).
    case whole
    /// The bytes at these offsets, at least one.
    case part(Range<Int>)
    /// Nothing that is there (section 15.5.17).
    case unsatisfiable

    package init(_ field: String, of length: Int) {
        self = .whole
        let parts = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        // Section 14.1: the names of units have no case.
        guard parts.count == 2, parts[0].lowercased() == "bytes", length > 0 else { return }
        let members = parts[1].listMembers()
        guard members.count == 1 else { return }
        let bounds = members[0].split(
            separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        guard bounds.count == 2 else { return }
        if bounds[0].isEmpty {
            guard let count = Self.number(bounds[1]) else { return }
            // Section 14.1.2: the last so many bytes.
            self = count == 0 ? .unsatisfiable : .part(length - min(count, length)..<length)
        } else {
            guard let first = Self.number(bounds[0]) else { return }
            let last = bounds[1].isEmpty ? Int.max : Self.number(bounds[1])
            guard let last, first <= last else { return }
            self = first >= length ? .unsatisfiable : .part(first..<min(last, length - 1) + 1)
        }
    }

    /// Digits alone; a number too large to be held is as good as the largest.
    private static func number(_ text: Substring) -> Int? {
        guard !text.isEmpty, text.utf8.allSatisfy(\.isDigit) else { return nil }
        return Int(text) ?? .max
    }
}
