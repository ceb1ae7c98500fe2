import CCurl

/// Scheme, host and port of a URL: what shares a limit and a connection.
struct WebOrigin: Hashable {
    let scheme: String
    let host: String
    let port: String

    /// - Throws: `refusedScheme` for other schemes than `http` and `https`, `badRequest` for what
    ///   is no absolute URL.
    init(_ url: String) throws(WebError) {
        guard let handle = curl_url() else { throw .badRequest("no memory for a URL") }
        defer { curl_url_cleanup(handle) }
        let flags = UInt32(CURLU_NON_SUPPORT_SCHEME)
        guard !url.utf8.contains(0), curl_url_set(handle, CURLUPART_URL, url, flags) == CURLUE_OK
        else { throw .badRequest("\"\(url.prefix(200))\" is no absolute URL") }
        func part(_ part: CURLUPart, _ flags: UInt32 = 0) -> String? {
            var text: UnsafeMutablePointer<CChar>?
            guard curl_url_get(handle, part, &text, flags) == CURLUE_OK, let text else {
                return nil
            }
            defer { curl_free(text) }
            return String(cString: text)
        }
        scheme = part(CURLUPART_SCHEME) ?? ""
        guard scheme == "http" || scheme == "https" else {
            throw .refusedScheme(String(url.prefix(200)))
        }
        host = part(CURLUPART_HOST)?.lowercased() ?? ""
        port = part(CURLUPART_PORT, UInt32(CURLU_DEFAULT_PORT)) ?? ""
    }

    /// Under which a queue and its limit are kept.
    var key: String { "\(scheme)://\(host):\(port)" }
}
