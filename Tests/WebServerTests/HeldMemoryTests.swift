import HTTPWire
import Sockets
import Synchronization
import Testing

@testable import WebServer

/// Clients that are slow on purpose cost a bounded amount, whatever they have the server hold.
@Suite struct HeldMemoryTests {
    private static let taken = Route(.post, "/taken", body: .collected) { request in
        HTTPResponse(200, type: "text/plain", Array("\(request.body.count)".utf8))
    }

    /// An answer without end, in pieces of 64 KiB.
    private static func endless(_ type: String) -> Route {
        Route(.get, "/endless") { _ in
            let piece = [UInt8](repeating: 0x61, count: 65536)
            return HTTPResponse(200, fields: [("Content-Type", type)], .stream { piece })
        }
    }

    private func upload(_ length: Int, sent: Int) -> String {
        "POST /taken HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: \(length)\r\n\r\n"
            + String(repeating: "a", count: sent)
    }

    @Test func `a body that came fast and then stalls ends the request`() async throws {
        let server = try ServerUnderTest([Self.taken]) { $0.bodyTimeout = .milliseconds(300) }
        let client = RawClient(port: server.port)
        #expect(client.exchange(upload(1_000_000, sent: 900_000)).hasPrefix("HTTP/1.1 408"))
        #expect(server.server.statistics[.limitBodyTime] == 1)
        #expect(server.server.statistics[.limitBodyRate] == 0)
        #expect(server.server.statistics[.heldBytes] == 0)
        await server.stop()
    }

    @Test func `of bodies over the bound the one longest silent is given up`() async throws {
        let server = try ServerUnderTest([Self.taken]) { $0.heldBytes = 1_000_000 }
        let silent = RawClient(port: server.port)
        silent.send(upload(800_000, sent: 700_000))
        #expect(await server.holds { server.server.statistics[.heldBytes] >= 600_000 })
        let other = RawClient(port: server.port)
        other.send(upload(800_000, sent: 700_000))
        #expect(silent.receive().hasPrefix("HTTP/1.1 503"))
        #expect(server.server.statistics[.limitHeldBytes] == 1)
        #expect(other.exchange(String(repeating: "a", count: 100_000)).hasSuffix("\r\n800000"))
        #expect(server.server.statistics[.heldBytes] == 0)
        await server.stop()
    }

    @Test func `what is held of answers in chunks is bounded for all clients together`()
        async throws
    {
        let server = try ServerUnderTest([Self.endless("image/png")]) {
            $0.writeTimeout = .seconds(600)
            $0.heldBytes = 200_000
        }
        let clients = (0..<12).map { _ in RawClient(port: server.port, receiveBuffer: 4096) }
        for client in clients { client.send("GET /endless HTTP/1.1\r\nHost: x\r\n\r\n") }
        // At most so many pieces are held at last, each a client's.
        #expect(await server.reaches(.limitHeldBytes, 8))
        #expect(
            await server.holds {
                server.server.statistics.open <= 4
                    && (1...400_000).contains(server.server.statistics[.heldBytes])
            })
        #expect(server.server.statistics[.limitWriteTime] == 0)
        for client in clients { client.endSending() }
        await server.stop()
    }

    @Test func `past so many coders answers leave as they are`() async throws {
        let server = try ServerUnderTest([Self.endless("text/plain")]) { $0.coders = 1 }
        let ask = "GET /endless HTTP/1.1\r\nHost: x\r\nAccept-Encoding: zstd\r\n\r\n"
        func head(_ client: RawClient) -> Substring {
            client.send(ask)
            return client.receive { $0.contains("\r\n\r\n") }.split(separator: "\r\n\r\n")[0]
        }
        do {
            let first = RawClient(port: server.port, receiveBuffer: 4096)
            #expect(head(first).contains("Content-Encoding: zstd"))
            #expect(server.server.statistics[.heldBytes] >= ZstdCoder.heldBytes)
            let second = RawClient(port: server.port, receiveBuffer: 4096)
            #expect(!head(second).contains("Content-Encoding"))
            #expect(server.server.statistics[.limitCoders] == 1)
        }
        // They have left: the coder is free again.
        #expect(await server.holds { server.server.statistics.open == 0 })
        #expect(head(RawClient(port: server.port)).contains("Content-Encoding: zstd"))
        await server.stop()
    }

    @Test func `requests that wait behind answers not taken are counted`() async throws {
        let page = Route(.get, "/page") { _ in
            HTTPResponse(200, type: "image/png", [UInt8](repeating: 0x61, count: 10_000))
        }
        let server = try ServerUnderTest([page]) { $0.writeTimeout = .milliseconds(300) }
        let client = RawClient(port: server.port, receiveBuffer: 4096)
        client.send(String(repeating: "GET /page HTTP/1.1\r\nHost: x\r\n\r\n", count: 2000))
        #expect(await server.reaches(.limitPipelinedBytes, 1))
        #expect(await server.reaches(.limitWriteTime, 1))
        await server.stop()
    }

    @Test func `a request whose client leaves is counted once`() async throws {
        let gate = Mutex(false)
        let slow = Route(.get, "/slow") { _ in
            // Goes on for a while after it was cancelled.
            while !gate.withLock({ $0 }) { await Task.yield() }
            return HTTPResponse(204, .bytes([]))
        }
        let server = try ServerUnderTest([slow]) { $0.lingerTimeout = .milliseconds(40) }
        do {
            let client = RawClient(port: server.port)
            client.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(await server.reaches(.requests, 1))
        }
        #expect(await server.reaches(.hangUps, 1))
        // Several sweeps, each of which would count it again.
        try await Task.sleep(for: .milliseconds(200))
        #expect(server.server.statistics[.hangUps] == 1)
        gate.withLock { $0 = true }
        await server.stop()
    }

    @Test func `the clock of a body runs while the client is waited for`() {
        let settings = HTTPServerConfiguration { status, _ in HTTPResponse(status, .bytes([])) }
        func at(_ seconds: Int64) -> LoopInstant {
            LoopInstant(nanoseconds: seconds * 1_000_000_000)
        }
        var clock = BodyClock()
        #expect(clock.bound(settings) == nil)
        clock.begin(at(0))
        #expect(clock.bound(settings)?.deadline == at(10))
        // 5 s of its grace and 10 s for its bytes are left, however long the handler takes.
        clock.end(at(5), bytes: 5000)
        #expect(clock.bound(settings) == nil)
        clock.begin(at(1000))
        #expect(clock.bound(settings)?.deadline == at(1015))
        #expect(clock.bound(settings)?.counter == .limitBodyRate)
        clock.end(at(1001), bytes: 1 << 20)
        clock.begin(at(2000))
        #expect(clock.bound(settings)?.deadline == at(2060))
        #expect(clock.bound(settings)?.counter == .limitBodyTime)
        clock.forgive(at(2030))
        #expect(clock.bound(settings)?.deadline == at(2090))
        clock.forgive(at(2000))
        clock.isLive = true
        #expect(clock.bound(settings)?.deadline == at(2075))
    }
}
