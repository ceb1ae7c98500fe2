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
}
