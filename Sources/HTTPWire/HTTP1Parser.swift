/// Reads HTTP/1.1 request heads by RFC 9112, strictly: what could be read in two ways is refused.
///
///     bytes ──► line by line, as they come ──► RequestLine, FieldNotes ──► empty line ──► RequestHead
///
/// No line of an unfinished head is read twice, and no byte looked at again for its end, however
/// slowly the head comes.
package struct HTTP1Parser: Sendable {
    private let limits: HTTPLimits
    private let admitsHTTP2: Bool
    /// Nothing of its own while no head has begun: that is how connections are idle.
    private var unfinished: Unfinished?

    private indirect enum Unfinished {
        case head(Progress)
    }

    /// What has been read of a head.
    private struct Progress {
        /// Where the request line begins: after one empty line that is passed over.
        var first = 0
        var lineStart = 0
        /// Before it the line does not end.
        var scanned = 0
        var requestLine: RequestLine?
        var notes = FieldNotes()
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
        var progress = Progress()
        if case .head(let begun) = unfinished {
            progress = begun
            unfinished = nil
        }
        do {
            return try parse(bytes, &progress)
        } catch {
            throw error.of(headSoFar(bytes.extracting(progress.first...), progress))
        }
    }

    private mutating func parse(
        _ bytes: Span<UInt8>, _ progress: inout Progress,
    ) throws(HTTPRefusal) -> (head: RequestHead, length: Int)? {
        while true {
            try checkFirstOctet(bytes, progress)
            guard let end = try Self.endOfLine(bytes, &progress) else { break }
            try checkLength(end + 2, progress)
            if end == progress.lineStart, let line = progress.requestLine {
                let whole = bytes.extracting(progress.first..<end + 2)
                return (try head(whole, line, progress.notes), end + 2)
            }
            try read(bytes.extracting(progress.lineStart..<end), &progress)
            progress.lineStart = end + 2
            progress.scanned = end + 2
        }
        try checkLength(bytes.count, progress)
        unfinished = .head(progress)
        return nil
    }

    // MARK: Lines

    /// Where the CRLF of the line stands that is being read; nil when it has not come.
    private static func endOfLine(
        _ bytes: Span<UInt8>, _ progress: inout Progress,
    ) throws(HTTPRefusal) -> Int? {
        let end = bytes.endOfContent(from: progress.scanned)
        progress.scanned = end
        guard end < bytes.count else { return nil }
        // Section 2.2: a line ends in CRLF; a bare LF and a bare CR are refused, and with RFC 9110,
        // section 5.5, all other control characters.
        guard bytes[end] == UInt8(ascii: "\r") else {
            throw bytes[end] == UInt8(ascii: "\n")
                ? HTTPRefusal(400, "A line of the request does not end in CRLF.") : strayControl
        }
        guard end + 1 < bytes.count else { return nil }
        guard bytes[end + 1] == UInt8(ascii: "\n") else { throw strayControl }
        return end
    }

    private static let strayControl = HTTPRefusal(400, "The request holds a control character.")

    /// Reads one line, of which the CRLF has been taken.
    private func read(_ line: Span<UInt8>, _ progress: inout Progress) throws(HTTPRefusal) {
        if progress.requestLine != nil {
            try progress.notes.readField(line, at: progress.lineStart - progress.first)
            if progress.notes.count > limits.fields {
                throw HTTPRefusal.tooManyFields(limits.fields)
            }
        } else if !line.isEmpty {
            progress.requestLine = try RequestLine(line, admitsHTTP2: admitsHTTP2)
        } else {
            // Section 2.2: one empty line before the request line is passed over.
            guard progress.first == 0 else { throw HTTPRefusal(400, "There is no request line.") }
            progress.first = 2
        }
    }

    /// What cannot begin a request is not waited for: a TLS greeting, say.
    private func checkFirstOctet(
        _ bytes: Span<UInt8>, _ progress: Progress,
    ) throws(HTTPRefusal) {
        guard progress.requestLine == nil, progress.first < bytes.count else { return }
        let octet = bytes[progress.first]
        // A CR may begin the empty line that is passed over.
        guard octet.isToken || octet == UInt8(ascii: "\r") else {
            throw HTTPRefusal(400, "This is no HTTP request.")
        }
    }

    /// Checks how long the head is that ends at `end` or goes on there.
    private func checkLength(_ end: Int, _ progress: Progress) throws(HTTPRefusal) {
        let length = end - progress.first
        // Section 3: 414 for a target longer than wanted, and with it for its line.
        if progress.requestLine == nil, length > limits.lineBytes + 2 {
            throw HTTPRefusal(414, "The request line is over \(limits.lineBytes) bytes.")
        }
        if length > limits.headBytes {
            throw HTTPRefusal.headTooLarge(limits.headBytes)
        }
    }

    // MARK: The whole head

    /// What has been read of a head that is refused, up to the line that broke a rule: so that its answer can
    /// say whose it is, and has no content if it is to HEAD.
    private func headSoFar(_ bytes: Span<UInt8>, _ progress: Progress) -> RequestHead {
        guard let line = progress.requestLine else {
            return .unreadable(
                admitsHTTP2 ? .http2 : .http11, method: bytes.hasPrefix("HEAD ") ? .head : .other)
        }
        let whole = bytes.extracting(..<(progress.lineStart - progress.first))
        return RequestHead(
            bytes: whole.withUnsafeBufferPointer { Array($0) } + [13, 10], method: line.methodKind,
            version: line.version, pathRange: line.path, queryRange: line.query,
            methodRange: line.method, fieldsStart: line.count + 2,
            nameMarks: progress.notes.nameMarks,
            authorityRange: line.authority ?? progress.notes.host,
            contentType: nil, body: .none, keepsAlive: false,
            expectation: .nothing, upgradesToHTTP2: false, isForTLS: line.isHTTPS)
    }

    private func head(
        _ bytes: Span<UInt8>, _ line: RequestLine, _ notes: FieldNotes,
    ) throws(HTTPRefusal) -> RequestHead {
        try notes.checkHost(isHTTP10: line.version == .http10)
        return RequestHead(
            bytes: bytes.withUnsafeBufferPointer { Array($0) }, method: line.methodKind,
            version: line.version, pathRange: line.path, queryRange: line.query,
            methodRange: line.method, fieldsStart: line.count + 2, nameMarks: notes.nameMarks,
            authorityRange: line.authority ?? notes.host, contentType: notes.contentType,
            body: try notes.bodyLength(line.version, limit: limits.bodyBytes),
            keepsAlive: notes.keepsAlive(line.version),
            expectation: try notes.expectation(line.version),
            upgradesToHTTP2: notes.upgradesToHTTP2 && line.version == .http11,
            isForTLS: line.isHTTPS)
    }
}
