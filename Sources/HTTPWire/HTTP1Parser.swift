/// Reads HTTP/1.1 request heads by RFC 9112, strictly: what could be read in two ways is refused.
package struct HTTP1Parser: Sendable {
    private let limits: HTTPLimits

    package init(limits: HTTPLimits) { self.limits = limits }

    /// Reads one head from the start of `bytes`.
    ///
    /// - Returns: the head and its length in bytes, or nil when more bytes are needed.
    /// - Throws: the answer to a request that breaks a rule; the connection is to be closed.
    package func parse(_ bytes: [UInt8]) throws(HTTPRefusal) -> (head: RequestHead, length: Int)? {
        var lines: [Range<Int>] = []
        var start = 0
        while true {
            guard let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) else {
                try checkUnfinished(bytes, line: start, isFirst: lines.isEmpty)
                return nil
            }
            // Section 2.2: a line ends in CRLF; a bare LF or CR is refused.
            guard end > start, bytes[end - 1] == UInt8(ascii: "\r") else {
                throw HTTPRefusal(400, "A line of the request does not end in CRLF.")
            }
            let line = start..<end - 1
            try checkUnfinished(bytes[..<(end + 1)], line: start, isFirst: lines.isEmpty)
            start = end + 1
            if line.isEmpty {
                // Section 2.2: one empty line before the request line is passed over.
                if lines.isEmpty, start == 2 { continue }
                break
            }
            lines.append(line)
            if lines.count > limits.fields + 1 {
                throw HTTPRefusal(431, "More than \(limits.fields) header fields.")
            }
        }
        guard let first = lines.first else { throw HTTPRefusal(400, "There is no request line.") }
        return (try head(bytes, first, lines.dropFirst()), start)
    }

    private func checkUnfinished(
        _ bytes: some Collection<UInt8>, line: Int, isFirst: Bool,
    ) throws(HTTPRefusal) {
        if isFirst, bytes.count - line > limits.lineBytes {
            throw HTTPRefusal(414, "The request line is over \(limits.lineBytes) bytes.")
        }
        if bytes.count > limits.headBytes, !isFirst || line > 0 {
            throw HTTPRefusal(431, "The request's head is over \(limits.headBytes) bytes.")
        }
    }

    private func head(
        _ bytes: [UInt8], _ first: Range<Int>, _ lines: ArraySlice<Range<Int>>,
    ) throws(HTTPRefusal) -> RequestHead {
        let parts = bytes[first].split(
            separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        // Section 3: exactly two single spaces.
        guard parts.count == 3 else { throw HTTPRefusal(400, "The request line is malformed.") }
        guard !parts[0].isEmpty, parts[0].allSatisfy(Self.isToken) else {
            throw HTTPRefusal(400, "The method is malformed.")
        }
        guard parts[0].count <= 32 else { throw HTTPRefusal(501, "The method is not known.") }
        let isHTTP10 = try version(parts[2])
        var fields: [(name: String, value: String)] = []
        for line in lines { fields.append(try field(bytes[line])) }
        let (path, query) = try target(parts[1])
        // Section 3.2: exactly one Host, which only HTTP/1.0 may leave out.
        let hosts = fields.count { $0.name == "host" }
        guard hosts == 1 || (hosts == 0 && isHTTP10) else {
            throw HTTPRefusal(400, "There must be exactly one Host field.")
        }
        return RequestHead(
            method: String(decoding: parts[0], as: UTF8.self), path: path, query: query,
            isHTTP10: isHTTP10, fields: fields, body: try bodyLength(fields, isHTTP10: isHTTP10))
    }

    private func version(_ text: ArraySlice<UInt8>) throws(HTTPRefusal) -> Bool {
        if text.elementsEqual("HTTP/1.1".utf8) { return false }
        if text.elementsEqual("HTTP/1.0".utf8) { return true }
        let isOther =
            text.starts(with: "HTTP/".utf8) && text.count == 8
            && text.last.map { (0x30...0x39).contains($0) } == true
        throw isOther
            ? HTTPRefusal(505, "This server speaks HTTP/1.1.")
            : HTTPRefusal(400, "The HTTP version is malformed.")
    }

    // Section 3.2: origin-form, absolute-form and the asterisk.
    private func target(_ text: ArraySlice<UInt8>) throws(HTTPRefusal) -> (String, String) {
        guard !text.isEmpty, text.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != 0x23 }) else {
            throw HTTPRefusal(400, "The request target is malformed.")
        }
        var rest = text
        if rest.starts(with: "http://".utf8) {
            let authority = rest.dropFirst(7)
            rest = authority.drop { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
        } else if rest.first != UInt8(ascii: "/"), !rest.elementsEqual("*".utf8) {
            throw HTTPRefusal(400, "The request target must begin with a slash.")
        }
        let path = rest.prefix { $0 != UInt8(ascii: "?") }
        let query = rest.dropFirst(path.count + 1)
        return (
            path.isEmpty ? "/" : String(decoding: path, as: UTF8.self),
            String(decoding: query, as: UTF8.self)
        )
    }

    private func field(
        _ line: ArraySlice<UInt8>,
    ) throws(HTTPRefusal) -> (name: String, value: String) {
        let name = line.prefix { $0 != UInt8(ascii: ":") }
        // Section 5.1: no white space before the colon; 5.2: no folded lines, which begin with it.
        guard name.count < line.count, !name.isEmpty, name.allSatisfy(Self.isToken) else {
            throw HTTPRefusal(400, "A header field is malformed.")
        }
        var value = line[(name.endIndex + 1)...]
        while let byte = value.first, byte == 0x20 || byte == 0x09 { value.removeFirst() }
        while let byte = value.last, byte == 0x20 || byte == 0x09 { value.removeLast() }
        // RFC 9110, section 5.5: no control characters in values.
        guard value.allSatisfy({ $0 >= 0x20 && $0 != 0x7f || $0 == 0x09 }) else {
            throw HTTPRefusal(400, "A header field holds a control character.")
        }
        return (
            String(decoding: name.map { $0 >= 0x41 && $0 <= 0x5a ? $0 | 0x20 : $0 }, as: UTF8.self),
            String(decoding: value, as: UTF8.self)
        )
    }

    // Section 6.
    private func bodyLength(
        _ fields: [(name: String, value: String)], isHTTP10: Bool,
    ) throws(HTTPRefusal) -> RequestHead.BodyLength {
        let codings = fields.filter { $0.name == "transfer-encoding" }
        let lengths = fields.filter { $0.name == "content-length" }
        if let coding = codings.first {
            // 6.1: both lengths are an attempt at smuggling; 1.0 knows no transfer codings.
            guard lengths.isEmpty, !isHTTP10, codings.count == 1 else {
                throw HTTPRefusal(400, "The length of the body is ambiguous.")
            }
            guard coding.value.lowercased() == "chunked" else {
                throw HTTPRefusal(501, "The only transfer coding known is chunked.")
            }
            return .chunked
        }
        guard let first = lengths.first?.value else { return .none }
        // 6.3: several lengths that agree could be one; nobody needs them.
        guard lengths.count == 1, !first.isEmpty, first.utf8.allSatisfy({ (48...57).contains($0) })
        else { throw HTTPRefusal(400, "The Content-Length is malformed.") }
        guard let length = Int(first), length <= limits.bodyBytes else {
            throw HTTPRefusal(413, "The body is over \(limits.bodyBytes) bytes.")
        }
        return length == 0 ? .none : .bytes(length)
    }

    // RFC 9110, section 5.6.2.
    private static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
        case 0x21, 0x23...0x27, 0x2a, 0x2b, 0x2d, 0x2e, 0x5e, 0x5f, 0x60, 0x7c, 0x7e: true
        default: false
        }
    }
}
