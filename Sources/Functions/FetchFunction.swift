import Jobs
import RawJSON
import WebClient

extension NativeFunction {
    /// The function `fetch`: gets one URL or many through the client.
    static func fetch(_ client: WebClient) -> NativeFunction {
        NativeFunction(
            "fetch",
            "Fetches a URL, or a list of them at once. A URL is a string or an object with \"url\""
                + " and any of the other arguments. Returns url, status, headers, text or base64"
                + " and timings; in a list, one that fails has an error instead. Any status is a"
                + " result. Fetch many with a map: it runs as many at once as the server allows.",
            [
                NativeParameter("url", "string", "object", "array"),
                NativeParameter("method", "string", isRequired: false),
                NativeParameter("headers", "object", isRequired: false),
                NativeParameter("body", isRequired: false),
                NativeParameter("redirects", "integer", isRequired: false),
                NativeParameter("timeout", "number", isRequired: false),
                NativeParameter("max_bytes", "integer", isRequired: false),
                NativeParameter("retries", "integer", isRequired: false),
                NativeParameter("as", "string", isRequired: false),
            ], pools: [.async],
        ) { arguments in
            let target = try arguments.value("url")
            guard target.kind == .array else {
                let call = try FetchCall(target, arguments.optional)
                return try await call.run(client).get()
            }
            return try await fetchAll(target.elements(), arguments, client)
        }
    }

    /// How long a list may be; longer ones are maps.
    private static let listLimit = 1000
    /// Of all results of a list together, in bytes.
    private static let listBytes = 256 << 20

    private static func fetchAll(
        _ targets: [RawJSON], _ arguments: NativeArguments, _ client: WebClient,
    ) async throws -> RawJSON {
        guard targets.count <= listLimit else {
            throw NativeArguments.refusal(
                "takes at most \(listLimit) URLs in a list; submit more as a map")
        }
        let calls = try targets.map { try FetchCall($0, arguments.optional) }
        let results = try await withThrowingTaskGroup(of: (Int, RawJSON).self) { group in
            for (index, call) in calls.enumerated() {
                group.addTask { (index, try await call.run(client).result(of: call.request)) }
            }
            var results = [RawJSON](repeating: .null, count: calls.count)
            var bytes = 0
            for try await (index, result) in group {
                bytes += result.bytes.count
                guard bytes <= listBytes else {
                    throw Failure(
                        .limit, type: "ResultTooLarge",
                        message: "The pages of the list have more than \(listBytes) bytes.")
                }
                results[index] = result
            }
            return results
        }
        var writer = JSONWriter(capacity: results.reduce(2) { $0 + $1.bytes.count + 1 })
        writer.beginArray()
        for result in results { writer.append(raw: result.bytes) }
        writer.endArray()
        return RawJSON(trusted: writer.bytes[...])
    }
}

/// One URL with what is to be done about it.
private struct FetchCall: Sendable {
    private(set) var request: WebRequest
    private let form: FetchResult.Form

    /// - Parameters:
    ///   - target: a URL, or an object whose members go before `others`.
    ///   - others: the other arguments by name.
    /// - Throws: what is wrong with which argument.
    init(_ target: RawJSON, _ others: (String) -> RawJSON?) throws(Failure) {
        let own = target.members()
        if let odd = own.first(where: { !Self.names.contains($0.name) }) {
            throw NativeArguments.refusal("takes no argument named \"\(odd.name)\"")
        }
        func argument(_ name: String) -> RawJSON? {
            own.first { $0.name == name }?.value ?? others(name)
        }
        guard let url = target.string ?? own.first(where: { $0.name == "url" })?.value.string else {
            throw NativeArguments.refusal(
                "wants \"url\" as a string, an object with \"url\", or a list of these")
        }
        let text = try Self.read(argument("as"), "as", "\"auto\", \"text\" or \"base64\"") {
            $0.string.flatMap(FetchResult.Form.init)
        }
        form = text ?? .auto
        request = WebRequest(url)
        request.retry = WebRetry(times: 2)
        try readOptions(argument)
        try readContent(argument)
    }

    private static let names: Set<String> = [
        "url", "method", "headers", "body", "redirects", "timeout", "max_bytes", "retries", "as",
    ]

    private mutating func readOptions(_ argument: (String) -> RawJSON?) throws(Failure) {
        func whole(_ name: String, _ range: ClosedRange<Int>) throws(Failure) -> Int? {
            let wanted = "a whole number from \(range.lowerBound) to \(range.upperBound)"
            return try Self.read(argument(name), name, wanted) {
                $0.int.flatMap { range.contains($0) ? $0 : nil }
            }
        }
        request.redirects = try whole("redirects", 0...50) ?? request.redirects
        request.maxBytes = try whole("max_bytes", 0...(256 << 20)) ?? 10 << 20
        request.retry.times = try whole("retries", 0...20) ?? request.retry.times
        let seconds = try Self.read(argument("timeout"), "timeout", "seconds from 0.001 to 3600") {
            $0.double.flatMap { (0.001...3600).contains($0) ? $0 : nil }
        }
        if let seconds { request.timeout = .microseconds(Int64(seconds * 1_000_000)) }
    }

    private mutating func readContent(_ argument: (String) -> RawJSON?) throws(Failure) {
        let headers = try Self.read(argument("headers"), "headers", "an object of strings") {
            json -> [(name: String, value: String)]? in
            guard json.kind == .object else { return nil }
            let members = json.members()
            let fields = members.compactMap { member in
                member.value.string.map { (name: member.name, value: $0) }
            }
            return fields.count == members.count ? fields : nil
        }
        request.headers = headers ?? []
        if let body = argument("body"), body.kind != .null {
            request.method = "POST"
            request.body = body.string.map { Array($0.utf8) } ?? Array(body.bytes)
            if !request.headers.contains(where: { $0.name.lowercased() == "content-type" }) {
                let type = body.kind == .string ? "text/plain;charset=UTF-8" : "application/json"
                request.headers.append(("Content-Type", type))
            }
        }
        let method = try Self.read(argument("method"), "method", "a string") { $0.string }
        if let method { request.method = method.uppercased() }
    }

    /// An argument that may be missing or null.
    private static func read<Value>(
        _ json: RawJSON?, _ name: String, _ wanted: String, _ read: (RawJSON) -> Value?,
    ) throws(Failure) -> Value? {
        guard let json, json.kind != .null else { return nil }
        guard let value = read(json) else {
            throw NativeArguments.refusal("wants \"\(name)\" as \(wanted)")
        }
        return value
    }

    /// - Throws: only when the call is cancelled.
    func run(_ client: WebClient) async throws -> Result<RawJSON, Failure> {
        do throws(WebError) {
            let response = try await client.send(request)
            return .success(FetchResult.json(response, form))
        } catch {
            if error == .cancelled { throw CancellationError() }
            return .failure(Failure(error, url: request.url))
        }
    }
}

extension Result<RawJSON, Failure> {
    /// An element of a list's result.
    fileprivate func result(of request: WebRequest) -> RawJSON {
        switch self {
        case .success(let json): return json
        case .failure(let failure):
            var writer = JSONWriter()
            writer.beginObject()
            writer.member("url", request.url)
            writer.member("error", failure.json)
            writer.endObject()
            return RawJSON(trusted: writer.bytes[...])
        }
    }
}

extension Failure {
    fileprivate init(_ error: WebError, url: String) {
        let (reason, type): (Reason, String) =
            switch error {
            case .badRequest: (.exception, "BadRequest")
            case .refusedScheme: (.exception, "RefusedScheme")
            case .refusedTarget: (.exception, "RefusedTarget")
            case .unresolved: (.exception, "UnresolvedHost")
            case .unconnected: (.exception, "ConnectionFailed")
            case .tls: (.exception, "TLSFailed")
            case .broken: (.exception, "ConnectionBroken")
            case .timedOut: (.exception, "FetchTimeout")
            case .bodyTooLarge: (.limit, "BodyTooLarge")
            case .headersTooLarge: (.limit, "HeadersTooLarge")
            case .tooManyRedirects: (.exception, "TooManyRedirects")
            case .overloaded: (.limit, "TooManyRequests")
            case .cancelled: (.cancelled, "Cancelled")
            }
        self.init(reason, type: type, message: "\(url.prefix(500)): \(error)")
    }
}
