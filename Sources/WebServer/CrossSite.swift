import HTTPWire

extension HTTPRequest {
    /// Whether a page of another origin has had a browser send the request.
    ///
    /// A browser says so in `Sec-Fetch-Site` (W3C Fetch Metadata), which scripts cannot set. One that
    /// does not is asked by `Origin`, which comes with whatever may change something: it must be the
    /// request's own, or of a host among `names`. What is sent by no browser has neither.
    /// Links from elsewhere may be followed.
    package func isCrossSite(_ names: AllowedHosts) -> Bool {
        if let site = head.field("sec-fetch-site") {
            if site == "same-origin" || site == "none" { return false }
            return !(isReading && head.field("sec-fetch-mode") == "navigate")
        }
        guard !isReading, let origin = head.field("origin") else { return false }
        guard let scheme = origin.firstRange(of: "://") else { return true }  // "null"
        let authority = origin[scheme.upperBound...].lowercased()
        if authority == head.authority?.lowercased() { return false }
        return !names.isNamed(String(authority.prefix { $0 != ":" }))
    }

    // RFC 9110, section 9.2.1: what changes nothing.
    private var isReading: Bool {
        head.method == .get || head.method == .head || head.method == .options
    }
}
