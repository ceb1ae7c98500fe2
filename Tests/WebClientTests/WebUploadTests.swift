import Glibc
import Sockets
import Synchronization
import Testing

@testable import WebClient

@Suite struct WebUploadTests {
    private func with<Value>(_ body: (WebClient) async throws -> Value) async throws -> Value {
        let loop = try EventLoop(name: "web")
        let client = WebClient(on: loop, access: WebAccess(.everything))
        defer {
            client.close()
            loop.stop()
        }
        return try await body(client)
    }

    private func request(_ server: TinyServer, _ upload: WebUpload) -> WebRequest {
        var request = WebRequest(server.url("/"), method: "POST")
        request.upload = upload
        return request
    }

    /// Takes up to so many bytes; nil when there is nothing now.
    private func take(_ upload: WebUpload, _ count: Int) -> [UInt8]? {
        var piece = WebUpload.Piece.nothing
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, used in
            piece = upload.take(UnsafeMutableRawBufferPointer(buffer))
            if case .bytes(let taken) = piece { used = taken }
        }
        switch piece {
        case .bytes: return bytes
        case .nothing: return nil
        case .end: return []
        }
    }

    @Test func `bytes come out as they went in, and then the end`() async {
        let upload = WebUpload()
        #expect(take(upload, 4) == nil)
        #expect(await upload.put(Array("one ".utf8)))
        #expect(await upload.put(Array("two".utf8)))
        #expect(take(upload, 5) == Array("one t".utf8))
        upload.finish()
        #expect(take(upload, 5) == Array("wo".utf8))
        #expect(take(upload, 5) == [])
    }

    @Test(.timeLimit(.minutes(1)))
    func `who makes it waits for room`() async {
        let upload = WebUpload()
        let count = 40
        async let made: Void = {
            for index in 0..<count {
                _ = await upload.put([UInt8](repeating: UInt8(index), count: 256 << 10))
            }
            upload.finish()
        }()
        var taken = 0
        while true {
            guard let piece = take(upload, 512 << 10) else {
                await Task.yield()
                continue
            }
            if piece.isEmpty { break }
            taken += piece.count
        }
        await made
        #expect(taken == count * 256 << 10)
    }

    @Test(.timeLimit(.minutes(1)))
    func `who makes it is told that it is not wanted any more`() async {
        let upload = WebUpload()
        #expect(await upload.put([UInt8](repeating: 0, count: 2 << 20)))
        async let last = upload.put([1])
        upload.stop()
        #expect(await last == false)
        #expect(!upload.isWanted)
    }

    @Test(.timeLimit(.minutes(1)))
    func `an upload is sent in chunks while it is made`() async throws {
        let upload = WebUpload()
        let server = try TinyServer { exchange in
            var text = exchange.text
            var chunk = [UInt8](repeating: 0, count: 4096)
            exchange.send("HTTP/1.1 103 Early Hints\r\nLocation: /there\r\n\r\n")
            while !text.hasSuffix("0\r\n\r\n") {
                let count = recv(exchange.fd, &chunk, chunk.count, 0)
                guard count > 0 else { return }
                text += String(decoding: chunk[..<count], as: UTF8.self)
            }
            exchange.reply(200, [], text.components(after: "\r\n\r\n"))
        }
        defer { server.stop() }
        let (hints, told) = AsyncStream.makeStream(of: String.self)
        var request = request(server, upload)
        request.hinted = { name, value in told.yield("\(name)=\(value)") }
        let answer = try await with { [request] client in
            async let answer = client.send(request)
            #expect(await upload.put(Array("first ".utf8)))
            // Nothing is sent that is not there: the hint comes in between.
            for await hint in hints {
                #expect(hint == "location=/there")
                break
            }
            #expect(await upload.put(Array("second".utf8)))
            upload.finish()
            return try await answer
        }
        #expect(answer.status == 200)
        #expect(
            String(decoding: answer.body, as: UTF8.self)
                == "6\r\nfirst \r\n6\r\nsecond\r\n0\r\n\r\n")
        let head = server.requests.first ?? ""
        #expect(head.contains("\r\nTransfer-Encoding: chunked\r\n"))
        #expect(head.contains("\r\nConnection: Prefer\r\n"))
    }

    @Test(.timeLimit(.minutes(1)), arguments: [200, 422])
    func `an early answer ends it`(status: Int) async throws {
        let upload = WebUpload()
        let server = try TinyServer { exchange in
            exchange.reply(status, ["Connection: close"], "enough")
            shutdownBoth(exchange.fd)
        }
        defer { server.stop() }
        let answer = try await with { client in
            async let answer = client.send(request(server, upload))
            while await upload.put(Array("more".utf8)) { await Task.yield() }
            return try await answer
        }
        #expect(answer.status == status)
        #expect(answer.body == Array("enough".utf8))
    }

    @Test(.timeLimit(.minutes(1)))
    func `a connection that is lost ends it`() async throws {
        let upload = WebUpload()
        let server = try TinyServer { exchange in shutdownBoth(exchange.fd) }
        defer { server.stop() }
        try await with { client in
            async let made: Void = {
                while await upload.put(Array("more".utf8)) { await Task.yield() }
            }()
            await #expect(throws: WebError.self) {
                try await client.send(request(server, upload))
            }
            await made
        }
    }
}

extension String {
    /// What follows the first occurrence of a separator.
    fileprivate func components(after separator: String) -> String {
        guard let range = firstRange(of: separator) else { return "" }
        return String(self[range.upperBound...])
    }
}
