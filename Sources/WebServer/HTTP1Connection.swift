import Glibc
import HTTPWire
import Sockets

/// One client's connection: next request, handle, send; an error ends the connection, not the server.
actor HTTP1Connection {
    private let socket: AsyncSocket
    private let loop: EventLoop
    private let configuration: HTTPServerConfiguration
    private let router: Router
    private let drain: DrainSwitch
    private var buffer: [UInt8] = []
    private var deadline: LoopTimer?

    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    init(
        socket: AsyncSocket, configuration: HTTPServerConfiguration, router: Router,
        drain: DrainSwitch,
    ) {
        self.socket = socket
        loop = socket.loop
        self.configuration = configuration
        self.router = router
        self.drain = drain
    }

    private enum End: Error {
        case quietly
    }

    /// Serves requests until the connection ends.
    func run() async {
        do {
            while try await serveOne() {}
        } catch let refusal as HTTPRefusal {
            try? await send(configuration.refusal(refusal.status, refusal.detail), closing: true)
            await linger()
        } catch {
            // The client is gone or silent; nobody is left to be told.
        }
        deadline?.cancel()
        socket.close()
    }

    /// Ends the connection if it waits for a request; called when the server drains.
    func closeIfIdle() {
        if buffer.isEmpty, isIdle { socket.expireRead() }
    }

    private var isIdle = true

    private func serveOne() async throws -> Bool {
        isIdle = true
        if drain.isDraining, buffer.isEmpty { return false }
        guard let head = try await nextHead() else { return false }
        isIdle = false
        var request = HTTPRequest(head: head)
        let handler: HTTPHandler
        do throws(RefusedRequest) {
            handler = try find(&request)
        } catch {
            // The body of a refused request is not read: the connection ends with the answer.
            let closing = head.body != .none || !head.keepsAlive || drain.isDraining
            try await send(error.response, to: head, closing: closing)
            if head.body != .none { await linger() }
            return !closing
        }
        try await readBody(of: head, into: &request)
        let response = await handler(request)
        let closing = !head.keepsAlive || drain.isDraining
        try await send(response, to: head, closing: closing)
        return !closing
    }

    private struct RefusedRequest: Error {
        let response: HTTPResponse
    }

    /// Who answers the request, whose parameters it fills in.
    private func find(_ request: inout HTTPRequest) throws(RefusedRequest) -> HTTPHandler {
        if let refused = configuration.authorize(request) {
            throw RefusedRequest(response: refused)
        }
        let head = request.head
        switch router.find(head) {
        case .handler(let found, let parameters):
            request.parameters = parameters
            return found
        case .methods(let allowed):
            var response =
                head.method == "OPTIONS"
                ? HTTPResponse(204, .bytes([]))
                : configuration.refusal(405, "The method \(head.method) is not allowed here.")
            response.fields.append(("Allow", allowed.joined(separator: ", ")))
            throw RefusedRequest(response: response)
        case .nothing:
            throw RefusedRequest(
                response: configuration.refusal(404, "There is nothing at \(head.path)."))
        }
    }

    // MARK: Reading

    private func nextHead() async throws -> RequestHead? {
        let parser = HTTP1Parser(limits: configuration.limits)
        var hasBegun = !buffer.isEmpty
        arm(hasBegun ? configuration.headTimeout : configuration.idleTimeout)
        defer { deadline?.cancel() }
        while true {
            if let (head, length) = try parser.parse(buffer) {
                buffer.removeSubrange(..<length)
                return head
            }
            do {
                guard try await fill() else { return nil }
            } catch SocketError.timedOut {
                if hasBegun { throw HTTPRefusal(408, "The request's head took too long.") }
                return nil
            }
            if !hasBegun {
                hasBegun = true
                arm(configuration.headTimeout)
            }
        }
    }

    private func readBody(of head: RequestHead, into request: inout HTTPRequest) async throws {
        guard head.body != .none else { return }
        if head.expectsContinue, buffer.isEmpty {
            try await socket.write(Array("HTTP/1.1 100 Continue\r\n\r\n".utf8))
        }
        arm(configuration.bodyTimeout)
        defer { deadline?.cancel() }
        do {
            if case .bytes(let length) = head.body {
                while buffer.count < length {
                    guard try await fill() else { throw End.quietly }
                }
                request.body = Array(buffer[..<length])
                buffer.removeSubrange(..<length)
            } else {
                var decoder = ChunkedDecoder(limit: configuration.limits.bodyBytes)
                try decoder.decode(&buffer, into: &request.body)
                while !decoder.isDone {
                    guard try await fill() else { throw End.quietly }
                    try decoder.decode(&buffer, into: &request.body)
                }
            }
        } catch SocketError.timedOut {
            throw HTTPRefusal(408, "The request's body took too long.")
        }
    }

    /// Adds what the client sends next to the buffer; false at the end of the stream.
    private func fill() async throws -> Bool {
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
        defer { room.deallocate() }
        let count = try await socket.read(into: room)
        buffer.append(contentsOf: room[..<count])
        return count > 0
    }

    private func arm(_ time: Duration) {
        deadline?.cancel()
        let socket = self.socket
        deadline = loop.schedule(after: time) { socket.expireRead() }
    }

    // MARK: Writing

    private func send(_ response: HTTPResponse, to head: RequestHead? = nil, closing: Bool)
        async throws
    {
        var isChunked = false
        var out = Array(
            "HTTP/1.1 \(response.status) \(HTTPStatus.reason(response.status))\r\n".utf8)
        for (name, value) in response.fields { out += "\(name): \(value)\r\n".utf8 }
        if closing { out += "Connection: close\r\n".utf8 }
        out += "Date: \(HTTPDate.now())\r\n".utf8
        switch response.body {
        case .bytes(let bytes):
            if response.status != 204, response.status != 304 {
                out += "Content-Length: \(bytes.count)\r\n".utf8
            }
            out += "\r\n".utf8
            if head?.method != "HEAD" { out += bytes }
            try await write(out)
        case .stream(let next):
            isChunked = head?.isHTTP10 != true
            if isChunked { out += "Transfer-Encoding: chunked\r\n".utf8 }
            out += "\r\n".utf8
            try await write(out)
            guard head?.method != "HEAD" else { return }
            while let piece = try await next() {
                guard !piece.isEmpty else { continue }
                try await write(
                    isChunked
                        ? Array("\(String(piece.count, radix: 16))\r\n".utf8) + piece + [13, 10]
                        : piece)
            }
            if isChunked { try await write(Array("0\r\n\r\n".utf8)) } else { throw End.quietly }
        }
    }

    private func write(_ bytes: [UInt8]) async throws {
        let socket = self.socket
        let stall = loop.schedule(after: configuration.writeTimeout) { socket.expireWrite() }
        defer { stall.cancel() }
        try await socket.write(bytes)
    }

    /// Lets a client that is still sending read the refusal before the connection is reset.
    private func linger() async {
        socket.shutdownWrite()
        arm(.seconds(2))
        var dropped = 0
        while dropped < 256 << 10 {
            buffer.removeAll()
            guard let more = try? await fill(), more else { return }
            dropped += buffer.count
        }
    }
}

/// Tells connections that the server is about to stop; for the thread of one loop.
final class DrainSwitch: @unchecked Sendable {
    // Unchecked: read and written on its loop's thread alone.
    var isDraining = false
}

/// The `Date` field (RFC 9110, section 5.6.7).
enum HTTPDate {
    static func now() -> String {
        var time = Glibc.time(nil)
        var parts = tm()
        gmtime_r(&time, &parts)
        var text = [CChar](repeating: 0, count: 40)
        let count = strftime(&text, text.count, "%a, %d %b %Y %H:%M:%S GMT", &parts)
        return String(decoding: text.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
