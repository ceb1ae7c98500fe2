/// Reads HTTP/1.1 request heads by RFC 9112, strictly: what could be read in two ways is refused.
///
///     bytes ──► endOfHead: line by line as they come ──► whole head ──► RequestLine, FieldNotes ──► RequestHead
///
/// No byte of an unfinished head is looked at twice, however slowly it comes.
package struct HTTP1Parser: Sendable {
    private let limits: HTTPLimits
    private let admitsHTTP2: Bool
    private var progress = Progress()

    /// How far an unfinished head has been looked through.
    private struct Progress {
        /// Where the request line begins: after one empty line that is passed over.
        var first = 0
        var lineStart = 0
        var scanned = 0
        var lines = 0
    }

    /// - Parameters:
    ///   - limits: of a head and its body.
    ///   - admitsHTTP2: whether the version may be `HTTP/2.0`; for heads that were put together
    ///     from HTTP/2 fields, so that one set of rules holds for both.
    package init(limits: HTTPLimits, admitsHTTP2: Bool = false) {
        self.limits = limits
        self.admitsHTTP2 = admitsHTTP2
    }

    /// Reads one head from the start of `bytes`.
    ///
    /// After nil the next call is to bring the same bytes and more behind them.
    ///
    /// - Returns: the head and its length in bytes, or nil when more bytes are needed.
    /// - Throws: the answer to a request that breaks a rule; the connection is to be closed.
    package mutating func parse(
        _ bytes: Span<UInt8>,
    ) throws(HTTPRefusal) -> (head: RequestHead, length: Int)? {
        guard let end = try endOfHead(bytes) else { return nil }
        let first = progress.first
        progress = Progress()
        return (try head(bytes.extracting(first..<end)), end)
    }

    // MARK: Lines

    private mutating func endOfHead(_ bytes: Span<UInt8>) throws(HTTPRefusal) -> Int? {
        while progress.scanned < bytes.count {
            let index = bytes.index(of: UInt8(ascii: "\n"), from: progress.scanned)
            progress.scanned = min(index + 1, bytes.count)
            guard index < bytes.count else { break }
            // Section 2.2: a line ends in CRLF; a bare LF is refused.
            guard index > progress.lineStart, bytes[index - 1] == UInt8(ascii: "\r") else {
                throw HTTPRefusal(400, "A line of the request does not end in CRLF.")
            }
            if index == progress.lineStart + 1 {
                if progress.lines > 0 {
                    try checkLength(index + 1)
                    return index + 1
                }
                // Section 2.2: one empty line before the request line is passed over.
                guard progress.first == 0 else {
                    throw HTTPRefusal(400, "There is no request line.")
                }
                progress.first = index + 1
            } else {
                try checkLength(index + 1)
                try checkFirstOctet(bytes)
                progress.lines += 1
                if progress.lines > limits.fields + 1 {
                    throw HTTPRefusal(431, "More than \(limits.fields) header fields.")
                }
            }
            progress.lineStart = index + 1
        }
        try checkFirstOctet(bytes)
        try checkLength(bytes.count)
        return nil
    }

    /// What cannot begin a request is not waited for: a TLS greeting, say.
    private func checkFirstOctet(_ bytes: Span<UInt8>) throws(HTTPRefusal) {
        guard progress.lines == 0, progress.first < bytes.count else { return }
        let octet = bytes[progress.first]
        // A CR may begin the empty line that is passed over, if LF follows.
        let mayBeEmptyLine = octet == UInt8(ascii: "\r") && progress.first + 1 == bytes.count
        guard octet.isToken || mayBeEmptyLine else {
            throw HTTPRefusal(400, "This is no HTTP request.")
        }
    }

    private func checkLength(_ count: Int) throws(HTTPRefusal) {
        if progress.lines == 0, count - progress.first > limits.lineBytes + 2 {
            throw HTTPRefusal(414, "The request line is over \(limits.lineBytes) bytes.")
        }
        if count - progress.first > limits.headBytes {
            throw HTTPRefusal(431, "The request's head is over \(limits.headBytes) bytes.")
        }
    }

    // MARK: The whole head

    private func head(_ bytes: Span<UInt8>) throws(HTTPRefusal) -> RequestHead {
        let line = try RequestLine(bytes, admitsHTTP2: admitsHTTP2)
        var notes = FieldNotes()
        var start = line.end
        while bytes[start] != UInt8(ascii: "\r") {
            start = try notes.readField(bytes, from: start)
        }
        // A bare CR at a line's start: the empty line is the one that ends the head.
        guard start + 2 == bytes.count else {
            throw HTTPRefusal(400, "A header field holds a control character.")
        }
        try notes.checkHost(isHTTP10: line.version == .http10)
        return RequestHead(
            bytes: bytes.withUnsafeBufferPointer { Array($0) }, method: line.methodKind,
            version: line.version, pathRange: line.path, queryRange: line.query,
            methodRange: line.method, fieldsStart: line.end, nameLengths: notes.nameLengths,
            body: try notes.bodyLength(line.version, limit: limits.bodyBytes),
            keepsAlive: notes.keepsAlive(line.version),
            expectation: try notes.expectation(line.version),
            upgradesToHTTP2: notes.upgradesToHTTP2 && line.version == .http11)
    }
}
