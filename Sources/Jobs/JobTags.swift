package import RawJSON

/// What may be a tag: of a submission, and of a function, whose jobs bear it too.
package enum JobTags {
    private static let most = 32
    private static let lengths = 1...100

    /// Reads a list of tags, each of them once.
    ///
    /// - Parameters:
    ///   - value: what is to be an array of strings.
    ///   - pointer: where it stands, for messages.
    /// - Returns: them in their order.
    /// - Throws: what is wrong with the list or with the first tag that cannot be one.
    package static func read(
        _ value: RawJSON, at pointer: @autoclosure () -> JSONPointer,
    ) throws(SubmissionError) -> [String] {
        func tooMany() -> SubmissionError {
            SubmissionError(
                .invalidMember, at: pointer(),
                "\"tags\" must be an array of at most \(most) strings, not \(excerpt(value)).")
        }
        guard case .array = value.kind else { throw tooMany() }
        var tags: [String] = []
        var index = 0
        for element in value.rawElements {
            guard index < most else { throw tooMany() }
            guard let tag = element.string, isTag(tag) else {
                guard value.elementCount <= most else { throw tooMany() }
                throw SubmissionError(
                    .invalidMember, at: pointer().appending(index),
                    "A tag is a string of 1 to 100 bytes without control characters, not "
                        + "\(excerpt(element)).")
            }
            if !tags.contains(tag) { tags.append(tag) }
            index += 1
        }
        return tags
    }

    /// SQLite's JSON functions take U+0000 for the end of a text.
    private static func isTag(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { bytes in
            lengths.contains(bytes.count) && bytes.allSatisfy { $0 >= 0x20 && $0 != 0x7f }
        }
    }
}
