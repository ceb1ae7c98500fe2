import Foundation
import Glibc
import HTTPWire
import Sockets
import Synchronization
import Testing
import Threads
import WebServer

/// Files are sent by the kernel where nothing is to be done to them on the way.
@Suite struct FileContentTests {
    private static let size = 3_000_000

    /// Makes a file of the small letters over and over and gives the route to it; `opened` is called
    /// with its place between the opening and the answer.
    private func withFile(
        opened: @escaping @Sendable (String) -> Void = { _ in },
        _ body: (Route) async throws -> Void,
    ) async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appendingPathComponent("letters").path
        try Data(Self.letters(0..<Self.size).utf8).write(to: URL(fileURLWithPath: path))
        let threads = ThreadExecutor(name: "test-files", threads: 1)
        defer { threads.stop() }
        try await body(
            Route(.get, "/file") { _ in
                guard let file = try? OpenFile(path, on: threads) else {
                    return HTTPResponse(404, .bytes([]))
                }
                opened(path)
                return HTTPResponse(
                    200, fields: [("Accept-Ranges", "bytes"), ("ETag", "\"a\"")],
                    .content(HTTPContent(file)))
            })
    }

    private static func letters(_ range: Range<Int>) -> String {
        String(decoding: range.map { UInt8(0x61 + $0 % 26) }, as: UTF8.self)
    }

    private func head(_ fields: String = "", method: String = "GET", version: String = "1.1")
        -> String
    {
        "\(method) /file HTTP/\(version)\r\nHost: x\r\n\(fields)\r\n"
    }

    /// The content of an answer that ends its connection.
    private func content(_ answer: String) -> Substring? {
        answer.firstRange(of: "\r\n\r\n").map { answer[$0.upperBound...] }
    }

    @Test func `a file is sent whole and in parts`() async throws {
        try await withFile { route in
            let server = try ServerUnderTest([route])
            let close = "Connection: close\r\n"
            let whole = RawClient(port: server.port).exchange(head(close))
            #expect(whole.contains("\r\nContent-Length: \(Self.size)\r\n"))
            #expect(content(whole)?.elementsEqual(Self.letters(0..<Self.size)) == true)
            #expect(server.server.statistics[.bytesSent] == whole.utf8.count)
            // To the end of one stretch, over it, and of the last one.
            for part in [0..<1, 5..<1 << 20, 100..<(1 << 20) + 101, Self.size - 7..<Self.size] {
                let range = "Range: bytes=\(part.lowerBound)-\(part.upperBound - 1)\r\n"
                let answer = RawClient(port: server.port).exchange(head(close + range))
                #expect(answer.hasPrefix("HTTP/1.1 206"))
                #expect(content(answer)?.elementsEqual(Self.letters(part)) == true)
            }
            let alone = RawClient(port: server.port).exchange(head(close, method: "HEAD"))
            #expect(alone.contains("\r\nContent-Length: \(Self.size)\r\n"))
            #expect(content(alone) == "")
            let old = RawClient(port: server.port).exchange(head(version: "1.0"))
            #expect(old.contains("\r\nContent-Length: \(Self.size)\r\n"))
            #expect(content(old)?.utf8.count == Self.size)
            await server.stop()
        }
    }

    @Test func `what is asked for behind a file is answered behind it`() async throws {
        try await withFile { route in
            let server = try ServerUnderTest([route])
            let part = "Range: bytes=26-28\r\n"
            let answers = RawClient(port: server.port).exchange(
                head() + head(part) + head() + head(part + "Connection: close\r\n"))
            #expect(answers.count(of: "HTTP/1.1 200 OK\r\n") == 2)
            #expect(answers.count(of: "HTTP/1.1 206 Partial Content\r\n") == 2)
            #expect(answers.hasSuffix("\r\n\r\nabc"))
            #expect(answers.utf8.count > 2 * Self.size)
            await server.stop()
        }
    }

    @Test func `a client that stops reading a file is given up and holds nothing`() async throws {
        try await withFile { route in
            let server = try ServerUnderTest([route]) {
                $0.writeTimeout = .milliseconds(300)
                // The file is in the page cache, not in memory that this is a bound of.
                $0.heldBytes = 1
            }
            let client = RawClient(port: server.port, receiveBuffer: 4096)
            client.send(head())
            #expect(await server.reaches(.limitWriteTime, 1))
            #expect(await server.holds { server.server.statistics.open == 0 })
            #expect(server.server.statistics[.limitHeldBytes] == 0)
            await server.stop()
        }
    }

    @Test func `a client that leaves in the middle of a file is no harm`() async throws {
        try await withFile { route in
            let server = try ServerUnderTest([route])
            for _ in 0..<20 {
                let client = RawClient(port: server.port, receiveBuffer: 4096)
                client.send(head())
                #expect(client.receive { !$0.isEmpty }.hasPrefix("HTTP/1.1 200"))
            }
            #expect(await server.holds { server.server.statistics.open == 0 })
            let answer = RawClient(port: server.port).exchange(head("Connection: close\r\n"))
            #expect(content(answer)?.utf8.count == Self.size)
            await server.stop()
        }
    }

    @Test func `a file that is removed meanwhile is sent to its end`() async throws {
        try await withFile(opened: { unlink($0) }) { route in
            let server = try ServerUnderTest([route])
            let answer = RawClient(port: server.port).exchange(head("Connection: close\r\n"))
            #expect(content(answer)?.elementsEqual(Self.letters(0..<Self.size)) == true)
            let gone = RawClient(port: server.port).exchange(head("Connection: close\r\n"))
            #expect(gone.hasPrefix("HTTP/1.1 404"))
            await server.stop()
        }
    }

    @Test func `a file that is cut short cuts the connection`() async throws {
        try await withFile(opened: { truncate($0, 1_500_000) }) { route in
            let server = try ServerUnderTest([route])
            let answer = RawClient(port: server.port).exchange(head())
            #expect(answer.contains("\r\nContent-Length: \(Self.size)\r\n"))
            #expect(content(answer)?.utf8.count == 1_500_000)
            await server.stop()
        }
    }
}
