import CCurl
import Glibc
import Sockets
import Synchronization
import Testing

@testable import WebClient

@Suite struct WebClientTests {
    /// A client on a loop of its own, both closed at the end.
    private func with<Value>(
        _ rules: TargetRules = .everything, limits: WebLimits = WebLimits(),
        _ body: (WebClient) async throws -> Value,
    ) async throws -> Value {
        let loop = try EventLoop(name: "web")
        let client = WebClient(on: loop, access: WebAccess(rules), limits: limits)
        defer {
            client.close()
            loop.stop()
        }
        return try await body(client)
    }

    private func error(
        _ client: WebClient, _ request: WebRequest,
    ) async -> WebError? {
        do throws(WebError) {
            _ = try await client.send(request)
            return nil
        } catch {
            return error
        }
    }

    @Test func `libcurl resolves names on threads of its own and speaks HTTP 2 and TLS`() throws {
        let features = try #require(curl_version_info(CURLVERSION_TENTH)).pointee.features
        for feature in [CURL_VERSION_ASYNCHDNS, CURL_VERSION_HTTP2, CURL_VERSION_SSL] {
            #expect(features & Int32(feature) != 0)
        }
    }

    // MARK: Answers

    @Test func `an answer has its status, headers and body`() async throws {
        let server = try TinyServer { $0.reply(404, ["X-A:  b c ", "X-A: d", "Empty:"], "no") }
        defer { server.stop() }
        let answer = try await with { try await $0.send(WebRequest(server.url("/x?y=1#z"))) }
        #expect((answer.status, answer.version) == (404, "1.1"))
        #expect(answer.body == Array("no".utf8))
        #expect(answer.header("x-a") == "b c")
        #expect(answer.headers.map(\.name) == ["content-length", "x-a", "x-a", "empty"])
        #expect(answer.timings.total > 0)
        #expect(server.requests.first?.hasPrefix("GET /x?y=1 HTTP/1.1\r\n") == true)
    }

    @Test func `connections are used again`() async throws {
        let server = try TinyServer { $0.reply(200, [], "x") }
        defer { server.stop() }
        try await with { client in
            for _ in 0..<20 { _ = try await client.send(WebRequest(server.url("/"))) }
        }
        #expect(server.connections == 1)
        #expect(server.requests.count == 20)
    }

    @Test func `a kept connection that was closed meanwhile is replaced`() async throws {
        let server = try TinyServer { exchange in
            exchange.reply(200, [], "x")
            shutdownBoth(exchange.fd)
        }
        defer { server.stop() }
        try await with { client in
            for _ in 0..<10 {
                let answer = try await client.send(WebRequest(server.url("/")))
                #expect(answer.status == 200)
            }
        }
        #expect(server.connections == 10)
    }

    @Test func `a body goes with its method and headers`() async throws {
        let server = try TinyServer { $0.reply(200, [], $0.text) }
        defer { server.stop() }
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            var request = WebRequest(server.url("/"), method: method)
            request.body = Array("{}".utf8)
            request.headers = [("Content-Type", "application/json"), ("X-Empty", "")]
            let seen = try await with { client in
                String(decoding: try await client.send(request).body, as: UTF8.self)
            }
            #expect(seen.hasPrefix("\(method) / HTTP/1.1\r\n"))
            #expect(seen.contains("\r\nContent-Type: application/json\r\n"))
            #expect(seen.contains("\r\nX-Empty:\r\n"))
            #expect(seen.contains("\r\nContent-Length: 2\r\n"))
            #expect(seen.hasSuffix("\r\n\r\n{}"))
        }
    }

    @Test func `compressed answers are unpacked`() async throws {
        let server = try TinyServer { exchange in
            exchange.send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 25\r\n\r\n")
            let packed: [UInt8] = [
                31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 203, 72, 205, 201, 201, 7, 0, 134, 166, 16, 54, 5,
                0, 0, 0,
            ]
            _ = packed.withUnsafeBytes { sendAll(exchange.fd, $0) }
        }
        defer { server.stop() }
        let answer = try await with { try await $0.send(WebRequest(server.url("/"))) }
        #expect(String(decoding: answer.body, as: UTF8.self) == "hello")
    }

    @Test func `a body can be taken piece by piece without a limit`() async throws {
        let server = try TinyServer { exchange in
            guard exchange.path == "/" else { return exchange.reply(404, [], "why") }
            exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in 0..<100 {
                exchange.send("400\r\n\(String(repeating: "x", count: 1024))\r\n")
            }
            exchange.send("0\r\n\r\n")
        }
        defer { server.stop() }
        let taken = Mutex(0)
        for (path, body) in [("/", ""), ("/other", "why")] {
            var request = WebRequest(server.url(path))
            request.maxBytes = 10
            request.receive = { piece in taken.withLock { $0 += piece.count } }
            let answer = try await with { [request] in try await $0.send(request) }
            #expect(String(decoding: answer.body, as: UTF8.self) == body)
        }
        #expect(taken.withLock { $0 } == 102_400)
    }

    // MARK: Redirects

    @Test func `redirects are followed up to the limit`() async throws {
        let server = try TinyServer { exchange in
            let number = Int(exchange.path.dropFirst()) ?? 0
            if number == 0 { return exchange.reply(200, [], "there") }
            exchange.reply(302, ["Location: /\(number - 1)"], "moved")
        }
        defer { server.stop() }
        try await with { client in
            let answer = try await client.send(WebRequest(server.url("/5")))
            #expect((answer.url, answer.body.count) == (server.url("/0"), 5))
            #expect(answer.headers.map(\.name) == ["content-length"])
            #expect(
                await error(client, WebRequest(server.url("/11"))) == .tooManyRedirects(limit: 10))
            var request = WebRequest(server.url("/5"))
            request.redirects = 0
            let unfollowed = try await client.send(request)
            #expect(unfollowed.status == 302)
        }
    }

    @Test func `a redirect leaves http and https for nothing else`() async throws {
        for target in ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1:1/_x"] {
            let server = try TinyServer { $0.reply(302, ["Location: \(target)"]) }
            defer { server.stop() }
            try await with { client in
                let error = await error(client, WebRequest(server.url("/")))
                guard case .refusedScheme = error else {
                    Issue.record("\(target): \(String(describing: error))")
                    return
                }
            }
        }
    }

    @Test func `credentials do not follow a redirect to another host`() async throws {
        let second = try TinyServer { $0.reply(200, [], $0.text) }
        let first = try TinyServer {
            $0.reply(302, ["Location: http://localhost:\(second.port)/"])
        }
        defer {
            first.stop()
            second.stop()
        }
        var request = WebRequest(first.url("/"))
        request.headers = [
            ("Authorization", "Bearer secret"), ("Cookie", "a=secret"), ("X-A", "b"),
        ]
        let seen = try await with { client in
            String(decoding: try await client.send(request).body, as: UTF8.self)
        }
        #expect(first.requests.first?.contains("secret") == true)
        #expect(seen.contains("X-A: b"))
        #expect(!seen.contains("secret"))
    }

    // MARK: Targets

    @Test(arguments: [
        "127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "127.1", "0x7f.1", "2130706433", "0",
        "[::]", "[::1]", "127.0.0.1.",
    ])
    func `an inner address in any spelling is refused before a connection is made`(
        host: String,
    ) async throws {
        let server = try TinyServer { $0.reply(200) }
        defer { server.stop() }
        try await with(.publicOnly) { client in
            let error = await error(client, WebRequest(server.url("/", host: host)))
            switch error {
            case .refusedTarget: break
            // Some resolvers know no such name at all.
            case .unresolved where host.hasSuffix("."): break
            default: Issue.record("\(String(describing: error))")
            }
        }
        #expect(server.connections == 0)
    }

    @Test func `a redirect to an inner address is refused`() async throws {
        let inner = try TinyServer { $0.reply(200, [], "secret") }
        let outer = try TinyServer { $0.reply(302, ["Location: \(inner.url("/"))"]) }
        defer {
            inner.stop()
            outer.stop()
        }
        try await with(TargetRules(allowing: ["localhost"])) { client in
            let error = await error(client, WebRequest(outer.url("/", host: "localhost")))
            #expect(error == .refusedTarget(host: "127.0.0.1", address: "127.0.0.1"))
        }
        #expect((outer.requests.count, inner.connections) == (1, 0))
    }

    @Test func `what the list allows is reached`() async throws {
        let server = try TinyServer { $0.reply(200) }
        defer { server.stop() }
        for (entry, host) in [
            ("127.0.0.0/8", "127.0.0.1"), ("127.0.0.1", "localhost"), ("localhost", "localhost"),
            ("127.0.0.1", "[::ffff:127.0.0.1]"),
        ] {
            try await with(TargetRules(allowing: [entry])) { client in
                let answer = try await client.send(WebRequest(server.url("/", host: host)))
                #expect(answer.status == 200)
            }
        }
    }

    // MARK: Limits

    @Test func `a body past the limit is broken off`() async throws {
        let server = try TinyServer { exchange in
            switch exchange.path {
            case "/told": exchange.reply(200, [], String(repeating: "x", count: 1001))
            case "/exact": exchange.reply(200, [], String(repeating: "x", count: 1000))
            default:
                exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                // Ends when the client has closed the connection and sending fails.
                for _ in 0..<100_000 {
                    exchange.send("400\r\n\(String(repeating: "x", count: 1024))\r\n")
                }
            }
        }
        defer { server.stop() }
        try await with { client in
            for path in ["/told", "/untold"] {
                var request = WebRequest(server.url(path))
                request.maxBytes = 1000
                #expect(await error(client, request) == .bodyTooLarge(limit: 1000))
            }
            var request = WebRequest(server.url("/exact"))
            request.maxBytes = 1000
            let answer = try await client.send(request)
            #expect(answer.body.count == 1000)
        }
    }

    @Test func `headers past the limit are broken off`() async throws {
        let server = try TinyServer { exchange in
            exchange.send("HTTP/1.1 200 OK\r\n")
            for number in 0..<5000 {
                exchange.send("X-\(number): \(String(repeating: "x", count: 100))\r\n")
            }
        }
        defer { server.stop() }
        try await with { client in
            let error = await error(client, WebRequest(server.url("/")))
            #expect(error == .headersTooLarge(limit: Transfer.headerLimit))
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func `a silent server runs into the timeout`() async throws {
        let server = try TinyServer { $0.waitForClose() }
        defer { server.stop() }
        try await with { client in
            var request = WebRequest(server.url("/"))
            request.timeout = .milliseconds(100)
            #expect(await error(client, request) == .timedOut(seconds: 0.1))
        }
    }

    @Test func `a cancelled task closes its connection`() async throws {
        let (arrived, arrival) = AsyncStream.makeStream(of: Void.self)
        let (closed, closing) = AsyncStream.makeStream(of: Void.self)
        let server = try TinyServer { exchange in
            arrival.yield()
            exchange.waitForClose()
            closing.yield()
        }
        defer { server.stop() }
        try await with { client in
            let work = Task { await error(client, WebRequest(server.url("/"))) }
            for await _ in arrived { break }
            work.cancel()
            #expect(await work.value == .cancelled)
            for await _ in closed { break }
        }
    }

    @Test func `a task cancelled before it starts connects nowhere`() async throws {
        let server = try TinyServer { $0.reply(200) }
        defer { server.stop() }
        try await with { client in
            let work = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                return await error(client, WebRequest(server.url("/")))
            }
            #expect(await work.value == .cancelled)
        }
        #expect(server.connections == 0)
    }

    @Test func `closing the client ends what runs and what waits`() async throws {
        let (arrived, arrival) = AsyncStream.makeStream(of: Void.self)
        let server = try TinyServer { exchange in
            arrival.yield()
            exchange.waitForClose()
        }
        defer { server.stop() }
        try await with(limits: WebLimits(total: 1, perHost: 1)) { client in
            let works = (0..<3).map { _ in
                Task { await error(client, WebRequest(server.url("/"))) }
            }
            for await _ in arrived { break }
            client.close()
            for work in works { #expect(await work.value == .cancelled) }
            #expect(await error(client, WebRequest(server.url("/"))) == .cancelled)
        }
    }

    @Test func `no more requests run at once than the limit of a host says`() async throws {
        let server = try TinyServer { exchange in
            usleep(2000)
            exchange.reply(200)
        }
        defer { server.stop() }
        try await with(limits: WebLimits(total: 50, perHost: 7)) { client in
            await withTaskGroup { group in
                for _ in 0..<100 {
                    group.addTask { await error(client, WebRequest(server.url("/"))) }
                }
                for await error in group { #expect(error == nil) }
            }
        }
        #expect((1...7).contains(server.mostOpen))
        #expect(server.connections == 7)
    }

    // MARK: Retries

    @Test func `Retry-After is waited for`() async throws {
        let tries = Mutex(0)
        let server = try TinyServer { exchange in
            let number = tries.withLock { tries in
                tries += 1
                return tries
            }
            exchange.reply(number == 1 ? 503 : 200, number == 1 ? ["Retry-After: 1"] : [])
        }
        defer { server.stop() }
        var request = WebRequest(server.url("/"))
        request.retry = WebRetry(times: 3, firstDelay: .seconds(600))
        let start = ContinuousClock.now
        let answer = try await with { [request] in try await $0.send(request) }
        #expect((answer.status, answer.attempts) == (200, 2))
        #expect(ContinuousClock.now - start >= .seconds(1))
    }

    @Test func `a wait past the bound is not waited for`() async throws {
        let server = try TinyServer { $0.reply(429, ["Retry-After: 3600"]) }
        defer { server.stop() }
        var request = WebRequest(server.url("/"))
        request.retry = WebRetry(times: 3)
        let answer = try await with { [request] in try await $0.send(request) }
        #expect((answer.status, answer.attempts, answer.retryAfter) == (429, 1, 3600))
    }

    // MARK: Refusals

    @Test(arguments: [
        ("ftp://a/", "GET"), ("file:///etc/passwd", "GET"), ("/x", "GET"), ("", "GET"),
        ("http://", "GET"), ("http://a b/", "GET"), ("http://a/", "GE T"), ("http://a/", ""),
        ("http://a/", "CONNECT"), ("http://a:99999/", "GET"), ("http://a/\r\nX: y", "GET"),
    ])
    func `a request that cannot be is refused`(url: String, method: String) async throws {
        try await with { client in
            switch await error(client, WebRequest(url, method: method)) {
            case .badRequest, .refusedScheme: break
            case let other: Issue.record("\(String(describing: other))")
            }
        }
    }

    @Test(arguments: [
        ("X-A", "b\r\nX-C: d"), ("X A", "b"), ("X-A:", "b"), ("", "b"), ("Content-Length", "5"),
        ("transfer-encoding", "chunked"), ("Host", "other"),
    ])
    func `a header that would change the request is refused`(
        name: String, value: String,
    ) async throws {
        var request = WebRequest("http://a/")
        request.headers = [(name, value)]
        try await with { [request] client in
            guard case .badRequest = await error(client, request) else {
                Issue.record("was taken")
                return
            }
        }
    }

    @Test func `nobody there is said so`() async throws {
        let server = try TinyServer { $0.reply(200) }
        server.stop()
        try await with { client in
            guard case .unconnected = await error(client, WebRequest("http://127.0.0.1:1/")) else {
                Issue.record("connected")
                return
            }
            let name = "no-such-host.invalid"
            #expect(await error(client, WebRequest("http://\(name)/")) == .unresolved(host: name))
        }
    }
}
