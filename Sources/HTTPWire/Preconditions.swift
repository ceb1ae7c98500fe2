/// What must be so for a request to be done: `If-Match` and `If-None-Match` (RFC 9110, section
/// 13.1).
///
/// `If-Modified-Since` and `If-Unmodified-Since` are passed over, as they are to be where nothing has
/// a date (sections 13.1.3 and 13.1.4).
package struct Preconditions {
    private let ifMatch: String?
    private let ifNoneMatch: String?

    /// Those of a request; nil for most, which have none.
    package init?(_ head: RequestHead) {
        ifMatch = head.field("if-match")
        ifNoneMatch = head.field("if-none-match")
        if ifMatch == nil, ifNoneMatch == nil { return nil }
    }

    /// What is there, as far as a condition can be about it.
    package enum Representation: Equatable, Sendable {
        case absent
        /// Something that has no `ETag`: `*` is all that fits.
        case untagged
        case tagged(String)
    }

    /// The condition that does not hold, the first in the order of section 13.2.2.
    package enum Failure { case ifMatch, ifNoneMatch }

    package func failure(of there: Representation) -> Failure? {
        if let ifMatch, !isMatched(there, by: ifMatch) { return .ifMatch }
        if let ifNoneMatch, isNamed(there, in: ifNoneMatch) { return .ifNoneMatch }
        return nil
    }

    private func isMatched(_ there: Representation, by field: String) -> Bool {
        switch there {
        case .absent: false
        case .untagged: field == "*"
        case .tagged(let tag): EntityTag.isMatched(tag, by: field)
        }
    }

    private func isNamed(_ there: Representation, in field: String) -> Bool {
        switch there {
        case .absent: false
        case .untagged: field == "*"
        case .tagged(let tag): EntityTag.isNamed(tag, in: field)
        }
    }
}

extension Preconditions.Representation: CustomStringConvertible {
    /// What a client is told whose condition does not hold.
    package var description: String {
        switch self {
        case .absent: "There is nothing here."
        case .untagged: "What is here has no ETag."
        case .tagged(let tag): "The ETag is \(tag) now."
        }
    }
}
