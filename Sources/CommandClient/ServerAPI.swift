import RawJSON
import WebClient

/// The server's HTTP interface, as far as commands need it.
struct ServerAPI: Sendable {
    let client: WebClient
    let url: String
    /// Where the server is, for people; the URL of a Unix socket does not tell.
    let place: String
    let token: String?

    /// Seconds that one long poll waits.
    private static let pollSeconds = 30

    /// Of a request that lasts as long as a job.
    private static let longest = Duration.seconds(30 * 24 * 3600)

    struct Answer {
        let status: Int
        let body: [UInt8]

        /// Null when the body is no JSON.
        var json: RawJSON { (try? RawJSON(validating: body)) ?? .null }
    }

    /// Sends a request; answers of 400 and more are failures.
    ///
    /// - Parameters:
    ///   - method: of HTTP.
    ///   - path: with its query.
    ///   - body: JSON, or nil for none.
    ///   - headers: added to those that every request has.
    ///   - seconds: that the server may take, on top of what it needs anyway.
    /// - Returns: an answer below 400.
    /// - Throws: why there is none.
    func call(
        _ method: String, _ path: String, body: [UInt8]? = nil,
        headers: [(name: String, value: String)] = [], seconds: Int = 0,
    ) async throws(ClientFailure) -> Answer {
        var request = self.request(method, path)
        request.headers += headers
        request.body = body
        if body != nil { request.headers.append(("Content-Type", "application/json")) }
        request.timeout = .seconds(60 + seconds)
        // Who waits anyway waits for the restart of a server too.
        request.retry = WebRetry(
            times: method == "GET" && seconds > 0 ? 6 : 1, firstDelay: .milliseconds(200),
            maxDelay: .seconds(30))
        return try await send(request)
    }

    /// Submits a map whose items are read meanwhile.
    ///
    /// - Parameters:
    ///   - body: the job's line, then the items'.
    ///   - headers: added to those that every request has.
    ///   - started: called once the job is there, if the server says so before its answer.
    /// - Returns: the answer, which comes after the last item.
    /// - Throws: why there is none.
    func upload(
        _ body: WebUpload, headers: [(name: String, value: String)],
        started: @escaping @Sendable (_ id: String) -> Void,
    ) async throws(ClientFailure) -> Answer {
        var request = self.request("POST", "/v1/jobs")
        request.headers += headers
        request.headers += [("Content-Type", "application/x-ndjson"), ("Prefer", "hints")]
        request.upload = body
        request.timeout = Self.longest
        request.hinted = { name, value in
            guard name == "location", let id = value.split(separator: "/").last else { return }
            started(String(id))
        }
        return try await send(request)
    }

    /// Streams the body of an answer; `receive` is called on another thread, which waits for it.
    func stream(
        _ path: String, receive: @escaping @Sendable (UnsafeRawBufferPointer) -> Void,
    ) async throws(ClientFailure) {
        var request = self.request("GET", path)
        request.timeout = Self.longest
        request.receive = receive
        _ = try await send(request)
    }

    private func request(_ method: String, _ path: String) -> WebRequest {
        var request = WebRequest(url + path, method: method)
        request.redirects = 0
        request.maxBytes = 1 << 30
        request.headers = [("Accept", "application/json, application/x-ndjson")]
        if let token { request.headers.append(("Authorization", "Bearer \(token)")) }
        return request
    }

    private func send(_ request: WebRequest) async throws(ClientFailure) -> Answer {
        let response: WebResponse
        do throws(WebError) {
            response = try await client.send(request)
        } catch {
            throw ClientFailure(.unreachable, "no answer from \(place): \(error)")
        }
        let answer = Answer(status: response.status, body: response.body)
        guard response.status >= 400 else { return answer }
        throw Self.failure(answer)
    }

    /// The server's problem document as a failure.
    static func failure(_ answer: Answer) -> ClientFailure {
        let problem = answer.json
        let title = problem.member("title")?.string ?? "the server answered \(answer.status)"
        var message = title
        if let detail = problem.member("detail")?.string, detail != title {
            message += ": \(detail)"
        }
        if let pointer = problem.member("pointer")?.string, !pointer.isEmpty {
            message += " (at \(pointer))"
        }
        let status: ExitStatus =
            switch answer.status {
            case 401, 403: .unauthorized
            case 404, 410: .notFound
            default: .refused
            }
        return ClientFailure(status, message)
    }

    // MARK: Jobs

    /// Waits for the end of a job.
    ///
    /// - Parameters:
    ///   - id: of the job.
    ///   - seconds: how long at most; nil for ever.
    /// - Returns: the job as it is at its end, or when the time is over.
    /// - Throws: why nothing is known of it.
    func wait(_ id: String, seconds: Double?) async throws(ClientFailure) -> JobView {
        let start = ContinuousClock.now
        while true {
            let (passed, _) = (ContinuousClock.now - start).components
            let left = max(0, (seconds ?? .infinity) - Double(passed))
            let wait = min(left, Double(Self.pollSeconds))
            let path = "/v1/jobs/\(escaped(id))?wait=\(wait)"
            let job = JobView(
                try await call("GET", path, seconds: Self.pollSeconds).json)
            if job.isOver || left <= Double(Self.pollSeconds) { return job }
        }
    }

    func job(_ id: String) async throws(ClientFailure) -> JobView {
        JobView(try await call("GET", "/v1/jobs/\(escaped(id))").json)
    }
}

/// A text as one segment of a path or value of a query (RFC 3986, section 2.3).
func escaped(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF")
    return text.utf8.map { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "_"), UInt8(ascii: "~"):
            String(UnicodeScalar(byte))
        default: "%\(digits[Int(byte >> 4)])\(digits[Int(byte & 15)])"
        }
    }.joined()
}
