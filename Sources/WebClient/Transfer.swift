import CCurl
import Glibc
import Sockets

/// One attempt at a request: what libcurl is told, what it delivers and who waits for it.
///
/// For the thread of the client's loop alone.
final class Transfer: @unchecked Sendable {
    // Unchecked: made by the caller, then handed to the loop and used nowhere else.
    private let request: WebRequest
    private let access: WebAccess
    let origin: WebOrigin
    private let created = ContinuousClock.now
    private var queued: Duration = .zero
    private var waiter: UnsafeContinuation<Result<WebResponse, WebError>, Never>?
    /// Ended already: a cancel may come before the start and long after the end.
    private(set) var isOver = false
    private(set) var easy: UnsafeMutableRawPointer?
    /// Whether libcurl waits for more of a body that is made while it is sent.
    private var isStarved = false
    /// Whether the header lines that come are those of a `103 Early Hints`.
    private var isHint = false

    private var body: [UInt8] = []
    private var headers: [(name: String, value: String)] = []
    private var headerBytes = 0
    private var refusal: WebError?
    private var list: UnsafeMutablePointer<curl_slist>?
    private let message: UnsafeMutablePointer<CChar>

    /// Of all header lines of one answer.
    static let headerLimit = 256 << 10

    init(_ request: WebRequest, access: WebAccess) throws(WebError) {
        try request.check()
        origin = try WebOrigin(request.url)
        self.request = request
        self.access = access
        // Last: of an object whose init throws, the deinit does not run.
        message = .allocate(capacity: Int(CURL_ERROR_SIZE))
        message[0] = 0
    }

    deinit {
        curl_slist_free_all(list)
        message.deallocate()
    }

    func wait(with continuation: UnsafeContinuation<Result<WebResponse, WebError>, Never>) {
        waiter = continuation
    }

    /// Tells whoever waits; does nothing the second time.
    func end(_ outcome: Result<WebResponse, WebError>) {
        isOver = true
        request.upload?.stop()
        let waiter = self.waiter
        self.waiter = nil
        waiter?.resume(returning: outcome)
    }

    // MARK: Before

    /// Sets up a clean handle for the request.
    func prepare(_ easy: UnsafeMutableRawPointer) {
        self.easy = easy
        queued = ContinuousClock.now - created
        ccurl_set_callbacks(
            easy, onHeader, onBody, onSocket, Unmanaged.passUnretained(self).toOpaque())
        ccurl_set_pointer(easy, CURLOPT_ERRORBUFFER, message)
        ccurl_set_text(easy, CURLOPT_URL, request.url)
        ccurl_set(easy, CURLOPT_NOSIGNAL, 1)
        ccurl_set_text(easy, CURLOPT_PROTOCOLS_STR, "http,https")
        ccurl_set_text(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https")
        // A proxy from the environment would connect in our place, past the rules of targets.
        ccurl_set_text(easy, CURLOPT_PROXY, "")
        ccurl_set(easy, CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_2TLS))
        ccurl_set(easy, CURLOPT_PIPEWAIT, origin.scheme == "https" ? 1 : 0)
        ccurl_set(easy, CURLOPT_TIMEOUT_MS, request.timeout.milliseconds)
        ccurl_set(easy, CURLOPT_CONNECTTIMEOUT_MS, request.connectTimeout.milliseconds)
        if request.receive == nil {
            ccurl_set_size(easy, CURLOPT_MAXFILESIZE_LARGE, Int(request.maxBytes))
        }
        ccurl_set_text(easy, CURLOPT_USERAGENT, "martlet/0.1")
        if request.isDecompressed { ccurl_set_text(easy, CURLOPT_ACCEPT_ENCODING, "") }
        if let path = access.socket { ccurl_set_text(easy, CURLOPT_UNIX_SOCKET_PATH, path) }
        if let file = access.authorities { ccurl_set_text(easy, CURLOPT_CAINFO, file) }
        setMethod(easy)
        setHeaders(easy)
    }

    private func setMethod(_ easy: UnsafeMutableRawPointer) {
        switch request.method {
        case "GET": ccurl_set(easy, CURLOPT_HTTPGET, 1)
        case "HEAD": ccurl_set(easy, CURLOPT_NOBODY, 1)
        case "POST":
            ccurl_set(easy, CURLOPT_POST, 1)
            guard request.upload == nil else {
                ccurl_set_reader(easy, onRead, Unmanaged.passUnretained(self).toOpaque())
                break
            }
            setBody(easy, request.body ?? [])
        default:
            if let body = request.body { setBody(easy, body) }
            ccurl_set_text(easy, CURLOPT_CUSTOMREQUEST, request.method)
        }
        // libcurl would repeat a custom method at the new place whatever the status.
        let follows = ["GET", "HEAD", "POST"].contains(request.method) && request.redirects > 0
        ccurl_set(easy, CURLOPT_FOLLOWLOCATION, follows ? 1 : 0)
        ccurl_set(easy, CURLOPT_MAXREDIRS, request.redirects)
    }

    private func setBody(_ easy: UnsafeMutableRawPointer, _ body: [UInt8]) {
        body.withUnsafeBytes { _ = ccurl_set_body(easy, $0.baseAddress, $0.count) }
    }

    private func setHeaders(_ easy: UnsafeMutableRawPointer) {
        for (name, value) in request.headers {
            // libcurl's spelling of a header without a value.
            list = curl_slist_append(list, value.isEmpty ? "\(name);" : "\(name): \(value)")
        }
        // Without these libcurl waits a second before large bodies and calls any body a form.
        list = curl_slist_append(list, "Expect:")
        // These two are left out by libcurl where it speaks HTTP/2. The first says that it is this
        // client that knows of hints, and no proxy, which may not.
        if request.hinted != nil { list = curl_slist_append(list, "Connection: Prefer") }
        if request.upload != nil { list = curl_slist_append(list, "Transfer-Encoding: chunked") }
        if request.body != nil, !request.headers.contains(where: { $0.name.isSame("content-type") })
        {
            list = curl_slist_append(list, "Content-Type:")
        }
        ccurl_set_pointer(easy, CURLOPT_HTTPHEADER, list)
    }

    // MARK: While it runs

    /// Takes a header line; false to end the transfer.
    fileprivate func take(header line: UnsafeRawBufferPointer) -> Bool {
        let text = String(decoding: line, as: UTF8.self)
        if text.hasPrefix("HTTP/") {
            // Of a redirect or an interim answer before this one.
            headers.removeAll()
            headerBytes = 0
            let status = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
            isHint = status == 103
            // The server has heard enough, if it has not heard all.
            if status >= 200 { request.upload?.stop() }
            return true
        }
        headerBytes += line.count
        guard headerBytes <= Self.headerLimit else {
            refusal = .headersTooLarge(limit: Self.headerLimit)
            return false
        }
        guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")) else { return true }
        let value = text[colon...].dropFirst()
        headers.append((text[..<colon].lowercased(), value.trimmed))
        if isHint { request.hinted?(text[..<colon].lowercased(), value.trimmed) }
        return true
    }

    /// Gives the next bytes of a body that is made while it is sent.
    fileprivate func give(_ buffer: UnsafeMutableRawBufferPointer) -> Int {
        guard let upload = request.upload else { return 0 }
        switch upload.take(buffer) {
        case .bytes(let count): return count
        case .nothing:
            isStarved = true
            return Int(CURL_READFUNC_PAUSE)
        case .end: return 0
        }
    }

    /// Has libcurl ask again for the body, of which there is more.
    func goOn() {
        guard isStarved, !isOver, let easy else { return }
        isStarved = false
        ccurl_go_on(easy)
    }

    /// Takes a piece of the body; false to end the transfer.
    fileprivate func take(body piece: UnsafeRawBufferPointer) -> Bool {
        if let receive = request.receive, let easy,
            (200..<300).contains(ccurl_get(easy, CURLINFO_RESPONSE_CODE))
        {
            receive(piece)
            return true
        }
        guard body.count + piece.count <= request.maxBytes else {
            refusal = .bodyTooLarge(limit: request.maxBytes)
            return false
        }
        body.append(contentsOf: piece)
        return true
    }

    /// Opens a socket for an address if the rules allow it; -1 if not.
    fileprivate func open(_ target: UnsafePointer<curl_sockaddr>) -> curl_socket_t {
        if target.pointee.family == AF_UNIX, access.socket != nil { return openSocket(target) }
        let host = effectiveHost
        let address = IPAddress(ccurl_address(target))
        guard let address, access.rules.allow(address, host: host) else {
            let shown = address?.description ?? "no IP address"
            refusal = .refusedTarget(host: host, address: shown)
            return -1
        }
        return openSocket(target)
    }

    /// Closed on exec, so that no process that the server starts inherits it.
    private func openSocket(_ target: UnsafePointer<curl_sockaddr>) -> curl_socket_t {
        let target = target.pointee
        return socket(
            target.family, target.socktype | Int32(SOCK_CLOEXEC.rawValue), target.protocol)
    }

    /// Of the URL that is fetched now, which a redirect may have changed.
    private var effectiveHost: String {
        guard let url = effectiveURL, let origin = try? WebOrigin(url) else { return origin.host }
        return origin.host
    }

    private var effectiveURL: String? {
        easy.flatMap { ccurl_get_text($0, CURLINFO_EFFECTIVE_URL) }.map { String(cString: $0) }
    }

    // MARK: After

    /// What the finished handle has to say.
    func outcome(_ code: CURLcode) -> Result<WebResponse, WebError> {
        guard let easy, code == CURLE_OK else { return .failure(error(code)) }
        var response = WebResponse(
            url: effectiveURL ?? request.url,
            status: ccurl_get(easy, CURLINFO_RESPONSE_CODE), version: version(easy),
            headers: headers, body: body, timings: timings(easy))
        if headers.contains(where: { $0.name == "retry-after" }) {
            response.retryAfter = Double(ccurl_get_size(easy, CURLINFO_RETRY_AFTER))
        }
        return .success(response)
    }

    private func version(_ easy: UnsafeMutableRawPointer) -> String {
        switch ccurl_get(easy, CURLINFO_HTTP_VERSION) {
        case Int(CURL_HTTP_VERSION_1_0): "1.0"
        case Int(CURL_HTTP_VERSION_2_0): "2"
        default: "1.1"
        }
    }

    private func timings(_ easy: UnsafeMutableRawPointer) -> WebTimings {
        func seconds(_ info: CURLINFO) -> Double {
            Double(ccurl_get_size(easy, info)) / 1_000_000
        }
        return WebTimings(
            queued: (queued / .microseconds(1)).rounded() / 1_000_000,
            dns: seconds(CURLINFO_NAMELOOKUP_TIME_T), connect: seconds(CURLINFO_CONNECT_TIME_T),
            tls: seconds(CURLINFO_APPCONNECT_TIME_T),
            firstByte: seconds(CURLINFO_STARTTRANSFER_TIME_T),
            total: seconds(CURLINFO_TOTAL_TIME_T))
    }

    private func error(_ code: CURLcode) -> WebError {
        if let refusal { return refusal }
        let general = curl_easy_strerror(code).map { String(cString: $0) }
        let text = message[0] == 0 ? general ?? "" : String(cString: message)
        switch code {
        case CURLE_UNSUPPORTED_PROTOCOL: return .refusedScheme(effectiveURL ?? request.url)
        case CURLE_URL_MALFORMAT: return .badRequest(text)
        case CURLE_COULDNT_RESOLVE_HOST: return .unresolved(host: effectiveHost)
        case CURLE_COULDNT_CONNECT: return .unconnected(text)
        case CURLE_OPERATION_TIMEDOUT:
            return .timedOut(seconds: Double(request.timeout.milliseconds) / 1000)
        case CURLE_FILESIZE_EXCEEDED: return .bodyTooLarge(limit: request.maxBytes)
        case CURLE_TOO_MANY_REDIRECTS: return .tooManyRedirects(limit: request.redirects)
        case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM,
            CURLE_SSL_CIPHER, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_ISSUER_ERROR,
            CURLE_SSL_INVALIDCERTSTATUS:
            return .tls(text)
        default: return .broken(text)
        }
    }
}

private func transfer(_ context: UnsafeMutableRawPointer?) -> Transfer? {
    context.map { Unmanaged<Transfer>.fromOpaque($0).takeUnretainedValue() }
}

/// What libcurl takes as "stop": any number but that of the bytes given.
private let refused = 0

private let onHeader: curl_write_callback = { bytes, size, count, context in
    let line = UnsafeRawBufferPointer(start: bytes, count: size * count)
    return transfer(context)?.take(header: line) == true ? line.count : refused
}

private let onBody: curl_write_callback = { bytes, size, count, context in
    let piece = UnsafeRawBufferPointer(start: bytes, count: size * count)
    return transfer(context)?.take(body: piece) == true ? piece.count : refused
}

private let onRead: curl_read_callback = { bytes, size, count, context in
    let room = UnsafeMutableRawBufferPointer(start: bytes, count: size * count)
    return transfer(context)?.give(room) ?? Int(CURL_READFUNC_ABORT)
}

private let onSocket: curl_opensocket_callback = { context, _, target in
    guard let target else { return -1 }
    return transfer(context)?.open(target) ?? -1
}

extension WebRequest {
    /// Headers that belong to the connection and not to its user (RFC 9110, sections 7.6.1, 8.6).
    private static let reserved: Set<String> = [
        "connection", "content-length", "transfer-encoding", "upgrade", "te", "trailer",
        "keep-alive", "proxy-authorization", "proxy-connection", "expect", "host",
    ]

    /// Refuses what would write something else into the request than it says.
    fileprivate func check() throws(WebError) {
        guard Self.isToken(method) else { throw .badRequest("\"\(method)\" is no method") }
        guard !["CONNECT", "TRACE"].contains(method) else {
            throw .badRequest("the method \(method) is not sent")
        }
        if body != nil, method == "GET" || method == "HEAD" {
            throw .badRequest("\(method) is sent without a body")
        }
        if upload != nil, method != "POST" || body != nil {
            throw .badRequest("an upload is the body of a POST")
        }
        for (name, value) in headers {
            guard Self.isToken(name) else { throw .badRequest("\"\(name)\" is no header name") }
            guard !Self.reserved.contains(name.lowercased()) else {
                throw .badRequest("the header \(name) is written by the client itself")
            }
            guard !value.utf8.contains(where: { $0 < 0x20 && $0 != 0x09 || $0 == 0x7f }) else {
                throw .badRequest("the header \(name) has control characters")
            }
        }
    }

    /// RFC 9110, section 5.6.2.
    private static func isToken(_ text: String) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
                }
            }
    }
}

extension Duration {
    /// Rounded up, at least 1, since libcurl takes 0 as "no limit".
    fileprivate var milliseconds: Int {
        max(1, Int(min((self / .milliseconds(1)).rounded(.up), 1e12)))
    }
}

extension String {
    fileprivate func isSame(_ lowerCased: String) -> Bool { lowercased() == lowerCased }
}

extension Substring {
    /// Without white space at both ends.
    fileprivate var trimmed: String {
        var rest = utf8[...]
        func isBlank(_ byte: UInt8?) -> Bool {
            byte == 0x20 || byte == 0x09 || byte == 0x0d || byte == 0x0a
        }
        while isBlank(rest.first) { rest.removeFirst() }
        while isBlank(rest.last) { rest.removeLast() }
        return String(Substring(rest))
    }
}
