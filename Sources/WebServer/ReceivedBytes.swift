import HTTPWire

/// What a client has sent and nobody has used yet.
///
/// Nothing is kept while each read brings whole requests, so that an idle connection costs no buffer.
struct ReceivedBytes {
    private var bytes: [UInt8] = []
    private var start = 0

    var count: Int { bytes.count - start }

    var isEmpty: Bool { start == bytes.count }

    /// Whether no request has begun: an empty line may stand before it (RFC 9112, section 2.2).
    var isBeforeRequest: Bool {
        isEmpty || bytes[start...].elementsEqual([13]) || bytes[start...].elementsEqual([13, 10])
    }

    /// Reads a head from what is kept.
    mutating func takeHead(_ parser: inout HTTP1Parser) throws(HTTPRefusal) -> RequestHead? {
        let found = try parser.parse(bytes.span.extracting(start...))
        drop(found?.length ?? 0)
        return found?.head
    }

    /// Reads a head from what is kept and `fresh` after it; keeps what is left.
    mutating func takeHead(
        _ parser: inout HTTP1Parser, adding fresh: Span<UInt8>,
    ) throws(HTTPRefusal) -> RequestHead? {
        guard isEmpty else {
            keep(fresh)
            return try takeHead(&parser)
        }
        let found = try parser.parse(fresh)
        keep(fresh.extracting((found?.length ?? 0)...))
        return found?.head
    }

    /// The first `count` bytes, of as many or more; without a copy if there are no others.
    mutating func take(_ count: Int) -> [UInt8] {
        guard start > 0 || count < bytes.count else {
            defer { removeAll() }
            return bytes
        }
        defer { drop(count) }
        return Array(bytes[start..<start + count])
    }

    /// Lets `body` read what is kept; drops as much as it says.
    mutating func use(
        _ body: (Span<UInt8>) throws(HTTPRefusal) -> Int,
    ) throws(HTTPRefusal) {
        guard !isEmpty else { return }
        drop(try body(bytes.span.extracting(start...)))
    }

    /// Whether what is kept and `fresh` after it begin with the preface of HTTP/2.
    func matchPreface(adding fresh: Span<UInt8>) -> HTTP2Preface.Match {
        if isEmpty { return HTTP2Preface.match(fresh) }
        let whole = bytes[start...] + fresh.withUnsafeBufferPointer { Array($0) }
        return HTTP2Preface.match(whole.span)
    }

    /// All that is kept.
    mutating func takeAll() -> [UInt8] {
        defer { removeAll() }
        return Array(bytes[start...])
    }

    mutating func keep(_ fresh: Span<UInt8>) {
        guard !fresh.isEmpty else { return }
        if start > 0 {
            bytes.removeSubrange(..<start)
            start = 0
        }
        fresh.withUnsafeBufferPointer { bytes.append(contentsOf: $0) }
    }

    mutating func removeAll() {
        bytes = []
        start = 0
    }

    private mutating func drop(_ count: Int) {
        start += count
        if isEmpty { removeAll() }
    }
}
