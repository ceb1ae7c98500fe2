import HTTPWire

/// Beginnings of HTTP/1.1 answers, the same for all of one status, type and variant within a second:
/// status line, `Content-Type`, `Date` and what the variant adds.
struct PreparedHeads {
    private var second = Int.min
    private var date = ""
    private var heads: [Prepared] = []

    private struct Prepared {
        let status: Int
        let type: String?
        let variant: UInt8
        let bytes: [UInt8]
    }

    /// Statuses and types that are kept; a server uses few.
    private static let most = 16

    init() {}

    /// The `Date` of answers made at a second since 1970.
    mutating func date(at second: Int) -> String {
        if second != self.second {
            self.second = second
            date = HTTPDate.text(second)
            heads.removeAll(keepingCapacity: true)
        }
        return date
    }

    /// Appends the beginning of an answer made at a second since 1970; `addition` writes the fields
    /// that are the variant's own.
    mutating func write(
        _ status: Int, type: String?, variant: UInt8 = 0, at second: Int,
        to writer: inout HTTP1Writer, addition: (inout HTTP1Writer) -> Void = { _ in },
    ) {
        let date = date(at: second)
        for head in heads
        where head.status == status && head.variant == variant && head.type == type {
            return writer.bytes.append(head.bytes)
        }
        let start = writer.bytes.count
        writer.beginHead(status)
        if let type { writer.field("Content-Type", type) }
        writer.ownField("Date: ", text: date)
        addition(&writer)
        guard heads.count < Self.most else { return }
        heads.append(
            Prepared(
                status: status, type: type, variant: variant,
                bytes: Array(writer.bytes, from: start)))
    }
}
