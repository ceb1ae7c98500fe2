extension RequestHead {
    /// The authority of the request's URI, `host[:port]`, as sent; nil when none was, which only
    /// HTTP/1.0 allows, or the head was unreadable.
    ///
    /// That of an absolute target goes before `Host` (RFC 9112, section 3.2.2); with HTTP/2 it is
    /// `:authority`.
    package var authority: String? {
        authorityRange.map { bytes.span.extracting($0).text }
    }

    /// Whether the host that is asked for is one of two names, given in lower case, whatever its port.
    package func isHost(_ name: StaticString, or other: StaticString) -> Bool {
        guard let range = authorityRange else { return false }
        let authority = bytes.span.extracting(range)
        let host = authority.extracting(Authority.host(of: authority))
        return host.equalsIgnoringCase(name) || host.equalsIgnoringCase(other)
    }

    /// The host that is asked for, in lower case, without its port; nil when none was sent.
    package var host: String? {
        guard let range = authorityRange else { return nil }
        let authority = bytes.span.extracting(range)
        return authority.extracting(Authority.host(of: authority)).text.lowercased()
    }

    private var authorityRange: Range<Int>? {
        // Of a head that could not be read there is nothing to look through.
        guard !methodRange.isEmpty else { return nil }
        let span = bytes.span
        let target = methodRange.upperBound + 1
        if !isAsterisk, span[target] != UInt8(ascii: "/") { return authority(ofTarget: target) }
        var start = fieldsStart
        while span[start] != UInt8(ascii: "\r") {
            var colon = start
            while span[colon] != UInt8(ascii: ":") { colon += 1 }
            var end = colon
            while span[end] != UInt8(ascii: "\r") { end += 1 }
            if span.extracting(start..<colon).equalsIgnoringCase("host") {
                return span.trimmed(colon + 1..<end)
            }
            start = end + 2
        }
        return nil
    }

    /// Of `scheme://authority…`, which the parser has checked.
    private func authority(ofTarget target: Int) -> Range<Int> {
        let span = bytes.span
        var start = target
        while span[start] != UInt8(ascii: ":") { start += 1 }
        start += 3
        var end = start
        while !Self.endsAuthority(span[end]) { end += 1 }
        return start..<end
    }

    private static func endsAuthority(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "/") || byte == UInt8(ascii: "?") || byte == UInt8(ascii: " ")
    }
}
