package import RawJSON

/// Why a submission is refused: where, and what to do about it.
package struct SubmissionError: Error, Sendable, Equatable {
    /// The kind of mistake; stable, part of the problem's `type`.
    package enum Kind: String, Sendable, CaseIterable {
        case unknownMember = "unknown-member"
        case duplicateMember = "duplicate-member"
        case missingMember = "missing-member"
        case invalidMember = "invalid-member"
        case conflictingMembers = "conflicting-members"
        case unknownFunction = "unknown-function"
        /// It may be known in a moment: not all functions have been read yet.
        case functionsNotRead = "functions-not-read"
        case poolNotAllowed = "pool-not-allowed"
        case limitNotPossible = "limit-not-possible"
    }

    package let kind: Kind
    /// The member it is about; the empty pointer is the whole document.
    package let pointer: JSONPointer
    /// For a person.
    package let detail: String

    package init(_ kind: Kind, at pointer: JSONPointer = JSONPointer(), _ detail: String) {
        self.kind = kind
        self.pointer = pointer
        self.detail = detail
    }
}

/// Finds the known name that a misspelt one most likely means.
package enum Spelling {
    /// The nearest of `names` within a third of the word's length in edits; nil when none is near, as
    /// none is to a word that is longer than names are.
    package static func nearest(to word: String, among names: some Sequence<String>) -> String? {
        guard word.utf8.count <= longest else { return nil }
        let limit = max(1, word.utf8.count / 3)
        var best: (name: String, distance: Int)?
        for name in names.sorted() {
            guard abs(name.utf8.count - word.utf8.count) <= limit else { continue }
            let distance = editDistance(Array(word.utf8), Array(name.utf8))
            if distance <= limit, distance < best?.distance ?? .max { best = (name, distance) }
        }
        return best?.name
    }

    /// Octets of a word: to compare one of a megabyte with fifty names takes a second.
    private static let longest = 64

    /// Levenshtein's distance, by rows.
    private static func editDistance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var row = Array(0...right.count)
        for (i, a) in left.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, b) in right.enumerated() {
                let substituted = diagonal + (a == b ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(substituted, diagonal + 1, row[j] + 1)
            }
        }
        return row[right.count]
    }
}
