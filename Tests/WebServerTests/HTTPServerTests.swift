import HTTPWire
import Sockets
import Synchronization
import Testing
import WebServer

@Suite struct HTTPServerTests {
    private let last = "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

    private static let echo = Route(.post, "/echo", body: .collected) { request in
        HTTPResponse(200, type: "text/plain", request.body)
    }
    private static let a = Route(.get, "/a") { _ in
        HTTPResponse(200, type: "text/plain", Array("a".utf8))
    }

    @Test func `requests sent together are answered together and in order`() async throws {
        let server = try ServerUnderTest([Self.a, Self.echo])
        let text =
            "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\none"
            + "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n"
            + last
        for split in stride(from: 1, to: text.count, by: 7) {
            let client = RawClient(port: server.port)
            client.send(String(text.prefix(split)))
            let answers = client.exchange(String(text.dropFirst(split)))
            #expect(answers.count(of: "HTTP/1.1 200 OK") == 3)
            let one = try #require(answers.firstRange(of: "one"))
            let two = try #require(answers.firstRange(of: "two"))
            #expect(one.upperBound < two.lowerBound)
        }
        #expect(server.server.statistics[.requests] == 3 * (text.count - 1 + 6) / 7)
        await server.stop()
    }

    /// RFC 9112, section 6.3: whatever a handler has given, nothing may follow these heads.
    @Test(arguments: [204, 304])
    func `an answer that has no content has none`(status: Int) async throws {
        let octets = [UInt8](repeating: 0x78, count: 40_000)
        let bodies: [HTTPResponse.Body] = [
            .bytes([1]), .bytes(octets),
            .content(
                HTTPContent(count: octets.count, pieceBytes: 1 << 20) { octets[$0..<$0 + $1] }),
            .stream { octets },
        ]
        for body in bodies {
            let route = Route(.get, "/none") { _ in HTTPResponse(status, body) }
            let server = try ServerUnderTest([Self.a, route])
            let answers = RawClient(port: server.port)
                .exchange("GET /none HTTP/1.1\r\nHost: x\r\n\r\n" + last)
            #expect(answers.hasPrefix("HTTP/1.1 \(status) "))
            #expect(answers.count(of: "\r\n\r\n") == 2)
            #expect(answers.count(of: "Content-Length") == 1)
            #expect(!answers.contains("Transfer-Encoding"))
            #expect(answers.hasSuffix("\r\n\r\na"))
            await server.stop()
        }
    }

    @Test(arguments: [65_535, 65_537, 1 << 20, 5_000_001])
    func `a large body comes whole, and not what follows it`(size: Int) async throws {
        let server = try ServerUnderTest([Self.a, Self.echo])
        let body = String(decoding: (0..<size).map { UInt8(0x21 + $0 % 89) }, as: UTF8.self)
        let text = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: \(size)\r\n\r\n" + body + last
        for first in [10, 100, 60_000] {
            let client = RawClient(port: server.port)
            client.send(String(text.prefix(first)))
            let answers = client.exchange(String(text.dropFirst(first)))
            let parts = answers.split(separator: "\r\n\r\n", maxSplits: 1)
            #expect(parts.last?.hasPrefix(body) == true)
            #expect(parts.last?.dropFirst(size).hasPrefix("HTTP/1.1 200") == true)
            #expect(answers.hasSuffix("\r\n\r\na"))
        }
        await server.stop()
    }

    @Test func `a quick answer and one that is waited for are the same to the client`()
        async throws
    {
        // What begins with "s" is left to the handler that waits.
        let route = Self.echo.quickly { request in
            request.body.first == UInt8(ascii: "s")
                ? nil : HTTPResponse(200, type: "text/plain", request.body)
        }
        let server = try ServerUnderTest([Self.a, route])
        let bodies = ["one", "slow", "two", "three", "slower", ""]
        let text =
            bodies.map { body in
                "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: \(body.count)\r\n\r\n\(body)"
            }.joined() + last
        for split in stride(from: 1, to: text.count, by: 5) {
            let client = RawClient(port: server.port)
            client.send(String(text.prefix(split)))
            let answers = client.exchange(String(text.dropFirst(split)))
            let contents = answers.split(separator: "HTTP/1.1 200 OK\r\n").map { answer in
                answer.firstRange(of: "\r\n\r\n").map { String(answer[$0.upperBound...]) }
            }
            #expect(contents == bodies + ["a"])
        }
        await server.stop()
    }

    @Test func `an answer is not held back by a slow one behind it`() async throws {
        let gate = Gate()
        let slow = Route(.get, "/slow") { _ in
            await gate.wait()
            return HTTPResponse(204, .bytes([]))
        }
        let server = try ServerUnderTest([Self.a, slow])
        let client = RawClient(port: server.port)
        client.send(
            "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        #expect(client.receive { $0.hasSuffix("\r\n\r\na") }.hasSuffix("\r\n\r\na"))
        gate.open()
        #expect(client.receive().hasPrefix("HTTP/1.1 204 No Content\r\n"))
        await server.stop()
    }

    @Test func `a streamed body reaches its handler while it comes`() async throws {
        let pieces = Mutex<[Int]>([])
        let route = Route(.post, "/stream", body: .streamed(upTo: 64 << 20)) { request in
            #expect(request.body.isEmpty)
            do {
                while let piece = try await request.bodyStream?.next() {
                    pieces.withLock { $0.append(piece.count) }
                }
            } catch {
                return HTTPResponse(500, type: "text/plain", Array("\(error)".utf8))
            }
            return HTTPResponse(200, type: "text/plain", [])
        }
        // A machine that is busy may be slower than a client is allowed to be.
        let server = try ServerUnderTest([route]) { $0.bodyGrace = .seconds(600) }
        let client = RawClient(port: server.port)
        client.send(
            "POST /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 10\r\n\r\n12345"
        )
        #expect(await server.holds { pieces.withLock { $0 } == [5] })
        #expect(client.exchange("67890").hasPrefix("HTTP/1.1 200 OK"))
        #expect(pieces.withLock { $0 } == [5, 5])
        await server.stop()
    }

    @Test func `a streamed body that is malformed or too slow ends the request`() async throws {
        let route = Route(.post, "/stream", body: .streamed(upTo: 64 << 20)) { request in
            while (try? await request.bodyStream?.next()) != nil {}
            return HTTPResponse(200, type: "text/plain", [])
        }
        let server = try ServerUnderTest([route]) { $0.bodyGrace = .milliseconds(100) }
        let head = "POST /stream HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        #expect(RawClient(port: server.port).exchange(head + "x\r\n").hasPrefix("HTTP/1.1 400"))
        #expect(RawClient(port: server.port).exchange(head + "3\r\na").hasPrefix("HTTP/1.1 408"))
        #expect(server.server.statistics[.limitBodyRate] == 1)
        await server.stop()
    }

    /// A route whose body is a stream if it is of lines.
    private static func live() -> Route {
        let body = Route.BodyMode.live(upTo: 100) { $0.field("content-type") == "text/lines" }
        return Route(.post, "/live", body: body) { request in
            guard let stream = request.bodyStream else {
                return HTTPResponse(200, type: "text/plain", request.body)
            }
            while (try? await stream.next()) != nil {}
            return HTTPResponse(200, type: "text/plain", [])
        }
    }

    private let liveHead = "POST /live HTTP/1.1\r\nHost: x\r\nContent-Type: text/lines\r\n"

    @Test func `a live body may be slow, and is live where its head says so`() async throws {
        let server = try ServerUnderTest([Self.live()]) {
            $0.bodyGrace = .milliseconds(50)
            $0.limits.bodyBytes = 10
        }
        let slow = RawClient(port: server.port)
        slow.send(
            liveHead + "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        // Past the grace that a body has that is no stream, and more bytes than such a one may have.
        try await Task.sleep(for: .milliseconds(700))
        #expect(
            slow.exchange("f\r\n123456789012345\r\n0\r\n\r\n").hasPrefix("HTTP/1.1 200"))
        let long = RawClient(port: server.port)
        #expect(
            long.exchange(liveHead + "Content-Length: 101\r\n\r\n").hasPrefix("HTTP/1.1 413"))
        let plain = "POST /live HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: "
        #expect(RawClient(port: server.port).exchange(plain + "3\r\n\r\nabc").hasSuffix("abc"))
        #expect(
            RawClient(port: server.port).exchange(plain + "11\r\n\r\n").hasPrefix("HTTP/1.1 413"))
        await server.stop()
    }

    @Test func `a live body that is silent ends the request`() async throws {
        let server = try ServerUnderTest([Self.live()]) { $0.idleTimeout = .milliseconds(300) }
        let silent = RawClient(port: server.port)
        #expect(
            silent.exchange(liveHead + "Content-Length: 20\r\n\r\n1").hasPrefix("HTTP/1.1 408"))
        #expect(server.server.statistics[.limitBodyRate] == 1)
        await server.stop()
    }

    @Test func `a handler whose client has left is cancelled`() async throws {
        let cancelled = Mutex(false)
        let poll = Route(.get, "/poll") { _ in
            await withTaskCancellationHandler {
                while !Task.isCancelled { await Task.yield() }
            } onCancel: {
                cancelled.withLock { $0 = true }
            }
            return HTTPResponse(204, .bytes([]))
        }
        let server = try ServerUnderTest([poll]) { $0.lingerTimeout = .milliseconds(40) }
        do {
            let client = RawClient(port: server.port)
            client.send("GET /poll HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(await server.reaches(.requests, 1))
        }
        #expect(await server.holds { cancelled.withLock { $0 } })
        await server.stop()
    }

    @Test func `a client that stops reading stops the producer and is given up`() async throws {
        let made = Mutex(0)
        let endless = Route(.get, "/endless") { _ in
            HTTPResponse(
                200,
                .stream {
                    made.withLock { $0 += 1 }
                    return [UInt8](repeating: 0x61, count: 65536)
                })
        }
        let server = try ServerUnderTest([endless]) { $0.writeTimeout = .milliseconds(300) }
        let client = RawClient(port: server.port, receiveBuffer: 4096)
        client.send("GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(await server.reaches(.limitWriteTime, 1))
        #expect(await server.holds { server.server.statistics.open == 0 })
        // What the kernel's buffers hold, and no more.
        #expect(made.withLock { $0 } < 200)
        await server.stop()
    }

    /// The small letters over and over, a million of them, read in pieces of a thousand.
    private static func letters(upTo limit: Int = 1_000_000) -> Route {
        Route(.get, "/letters") { _ in
            let content = HTTPContent(count: 1_000_000, pieceBytes: 1000) { offset, count in
                (offset..<min(offset + count, limit)).map { UInt8(0x61 + $0 % 26) }[...]
            }
            return HTTPResponse(
                200, fields: [("Accept-Ranges", "bytes"), ("ETag", "\"a\"")], .content(content))
        }
    }

    private func ask(_ port: Int, _ fields: String, method: String = "GET") -> String {
        RawClient(port: port).exchange(
            "\(method) /letters HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\(fields)\r\n")
    }

    @Test func `content in pieces comes whole, with its length`() async throws {
        let server = try ServerUnderTest([Self.letters()])
        let answer = ask(server.port, "")
        #expect(answer.contains("\r\nContent-Length: 1000000\r\n"))
        #expect(!answer.contains("Transfer-Encoding"))
        #expect(answer.count(of: "abcdefghijklmnopqrstuvwxyz") == 1_000_000 / 26)
        let head = ask(server.port, "Range: bytes=0-1\r\n", method: "HEAD")
        #expect(head.hasPrefix("HTTP/1.1 200"))
        #expect(head.contains("\r\nContent-Length: 1000000\r\n"))
        #expect(head.hasSuffix("\r\n\r\n"))
        await server.stop()
    }

    @Test func `a part of content is read alone`() async throws {
        let server = try ServerUnderTest([Self.letters()])
        let part = ask(server.port, "Range: bytes=26-28\r\n")
        #expect(part.hasPrefix("HTTP/1.1 206"))
        #expect(part.contains("\r\nContent-Range: bytes 26-28/1000000\r\n"))
        #expect(part.contains("\r\nContent-Length: 3\r\n"))
        #expect(part.hasSuffix("\r\n\r\nabc"))
        let long = ask(server.port, "Range: bytes=-2599\r\nIf-Range: \"a\"\r\n")
        #expect(long.contains("\r\nContent-Length: 2599\r\n"))
        #expect(long.count(of: "abcdefghijklmnopqrstuvwxy") == 99)
        let changed = ask(server.port, "Range: bytes=0-1\r\nIf-Range: \"b\"\r\n")
        #expect(changed.hasPrefix("HTTP/1.1 200"))
        let none = ask(server.port, "Range: bytes=1000000-\r\n")
        #expect(none.hasPrefix("HTTP/1.1 416"))
        #expect(none.contains("\r\nContent-Range: bytes */1000000\r\n"))
        #expect(ask(server.port, "If-Match: \"b\"\r\n").hasPrefix("HTTP/1.1 412"))
        await server.stop()
    }

    @Test func `content that ends early cuts the connection`() async throws {
        let server = try ServerUnderTest([Self.letters(upTo: 2500)])
        let answer = ask(server.port, "")
        #expect(answer.contains("\r\nContent-Length: 1000000\r\n"))
        #expect(answer.split(separator: "\r\n\r\n").last?.utf8.count == 2500)
        await server.stop()
    }

    @Test func `a stream in which nothing comes ends when its client leaves`() async throws {
        let asked = Mutex(0)
        let silent = Route(.get, "/silent") { _ in
            HTTPResponse(
                200,
                .stream {
                    asked.withLock { $0 += 1 }
                    // As a reader does that is woken by the clock or by its task's cancelling.
                    try? await Task.sleep(for: .seconds(60))
                    return []
                })
        }
        let server = try ServerUnderTest([silent]) { $0.lingerTimeout = .milliseconds(40) }
        do {
            let client = RawClient(port: server.port)
            client.send("GET /silent HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(await server.holds { asked.withLock { $0 } == 1 })
        }
        #expect(await server.holds { server.server.statistics.open == 0 })
        #expect(asked.withLock { $0 } == 1)
        await server.stop()
    }

    @Test func `past the bound of an address its new connections are closed`() async throws {
        let server = try ServerUnderTest([Self.a]) { $0.connectionsPerAddress = 1 }
        let first = RawClient(port: server.port)
        #expect(await server.reaches(.connectionsAccepted, 1))
        #expect(RawClient(port: server.port).receive() == "")
        #expect(server.server.statistics[.limitConnectionsPerAddress] == 1)
        #expect(first.exchange(last).hasPrefix("HTTP/1.1 200"))
        await server.stop()
    }

    @Test func `slow heads and idle connections meet their limits`() async throws {
        let server = try ServerUnderTest([Self.a]) {
            $0.headTimeout = .milliseconds(200)
            $0.idleTimeout = .milliseconds(400)
        }
        let slow = RawClient(port: server.port)
        slow.send("GET /a HT")
        let idle = RawClient(port: server.port)
        #expect(await server.reaches(.connectionsAccepted, 2))
        #expect(slow.receive().hasPrefix("HTTP/1.1 408"))
        #expect(idle.receive() == "")
        let statistics = server.server.statistics
        #expect(statistics[.limitHeadTime] == 1)
        #expect(statistics[.limitIdleTime] == 1)
        await server.stop()
    }

    @Test func `past the bound of connections others wait and are served`() async throws {
        let server = try ServerUnderTest([Self.a]) {
            $0.connections = 1
            $0.headTimeout = .seconds(60)
        }
        var first: RawClient? = RawClient(port: server.port)
        first?.send("GET /a HT")  // else it would make room when it has been idle for a second
        #expect(await server.reaches(.bytesReceived, 9))
        let second = RawClient(port: server.port)
        second.send(last)
        #expect(await server.reaches(.limitConnections, 1))
        first = nil
        #expect(first == nil)
        #expect(second.receive().hasPrefix("HTTP/1.1 200"))
        await server.stop()
    }

    @Test func `past the bound of connections the one that has been idle for longest makes room`()
        async throws
    {
        let server = try ServerUnderTest([Self.a]) {
            $0.connections = 2
            $0.headTimeout = .seconds(60)
        }
        let ask = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
        let clients = [RawClient(port: server.port), RawClient(port: server.port)]
        for client in clients {
            client.send(ask)
            #expect(client.receive { $0.hasSuffix("a") }.hasPrefix("HTTP/1.1 200"))
        }
        // Busy with a head: it is not asked to make room.
        clients[0].send("GET /a HT")
        #expect(await server.reaches(.bytesReceived, 2 * ask.utf8.count + 9))
        let third = RawClient(port: server.port)
        #expect(third.exchange(last).hasPrefix("HTTP/1.1 200"))
        #expect(clients[1].receive() == "")
        #expect(server.server.statistics[.idleForRoom] == 1)
        #expect(server.server.statistics[.limitIdleTime] == 0)
        clients[0].send("TP/1.1\r\nHost: x\r\n\r\n")
        #expect(clients[0].receive { $0.hasSuffix("a") }.hasPrefix("HTTP/1.1 200"))
        await server.stop()
    }

    @Test func `continue is said once, and not to what is refused`() async throws {
        let server = try ServerUnderTest([Self.echo]) { $0.limits.bodyBytes = 10 }
        func head(_ path: String, _ length: Int) -> String {
            "POST \(path) HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: \(length)\r\n\r\n"
        }
        let client = RawClient(port: server.port)
        client.send(head("/echo", 2))
        #expect(client.receive { $0.hasSuffix("\r\n\r\n") } == "HTTP/1.1 100 Continue\r\n\r\n")
        #expect(client.exchange("ab").hasPrefix("HTTP/1.1 200"))
        #expect(RawClient(port: server.port).exchange(head("/no", 2)).hasPrefix("HTTP/1.1 404"))
        #expect(RawClient(port: server.port).exchange(head("/echo", 11)).hasPrefix("HTTP/1.1 413"))
        await server.stop()
    }

    @Test func `an idle connection is closed at the stop and a busy one answered`() async throws {
        let gate = Gate()
        let slow = Route(.get, "/slow") { _ in
            await gate.wait()
            return HTTPResponse(200, type: "text/plain", Array("done".utf8))
        }
        let server = try ServerUnderTest([slow])
        let idle = RawClient(port: server.port)
        let busy = RawClient(port: server.port)
        busy.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(await server.reaches(.requests, 1))
        #expect(await server.reaches(.connectionsAccepted, 2))
        async let stopped: Void = server.stop(within: .seconds(60))
        #expect(idle.receive() == "")
        gate.open()
        let answer = busy.receive()
        #expect(answer.contains("\r\nConnection: close\r\n"))
        #expect(answer.hasSuffix("done"))
        await stopped
    }

    @Test func `a handler cannot split its answer`() async throws {
        let route = Route(.get, "/a") { _ in
            HTTPResponse(200, fields: [("X", "1\r\nSet-Cookie: a\r\n\r\n<b>")], .bytes([]))
        }
        let server = try ServerUnderTest([route])
        let answer = RawClient(port: server.port).exchange(last)
        #expect(!answer.contains("\r\nSet-Cookie"))
        #expect(answer.count(of: "\r\n\r\n") == 1)
        await server.stop()
    }
}

/// Opens once, for any number that wait.
final class Gate: Sendable {
    private let state = Mutex<(isOpen: Bool, waiting: [CheckedContinuation<Void, Never>])>(
        (false, []))

    func wait() async {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                if !state.isOpen { state.waiting.append(continuation) }
                return state.isOpen
            }
            if isOpen { continuation.resume() }
        }
    }

    func open() {
        let waiting = state.withLock { state in
            state.isOpen = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }
}
