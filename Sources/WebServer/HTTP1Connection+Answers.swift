import HTTPWire
import Sockets

/// How answers leave: small ones together, large ones as the client takes them.
extension HTTP1Connection {
    /// Sends an answer that is plain and small on the spot, any other in a task; whether another
    /// request may be served at once.
    func answer(
        _ request: HTTPRequest, _ response: HTTPResponse, closing: Bool,
    ) throws -> Bool {
        guard home.service.isPlain(response), case .bytes(let bytes) = response.body else {
            inTask { [self] in
                let finished = await home.service.finished(response, for: request.head, on: home)
                let closing = closing || endsConnection(finished, to: request)
                try await send(finished, to: request, closing: closing)
                return try await closing ? left() : true
            }
            return false
        }
        write(response, bytes, to: request, closing: closing)
        guard closing else { return true }
        if try stream.flushNow(isLast: true), !mustLinger {
            home.ended(stream)
        } else {
            inTask { [self] in try await left() }
        }
        return false
    }

    /// Puts a small answer behind what is to be sent.
    private func write(
        _ response: HTTPResponse, _ bytes: [UInt8], to request: HTTPRequest, closing: Bool,
    ) {
        begin(response, to: request, closing: closing)
        let isSent = sendsContent(of: response, to: request)
        home.answered(request, status: response.status, bytes: isSent ? bytes.count : 0)
        if isSent { stream.output.bytes.append(bytes) }
    }

    /// Whether the end of the connection is the end of the answer, for want of chunks (RFC 9112,
    /// section 6.3); to HEAD, too, it is said so.
    func endsConnection(_ response: HTTPResponse, to request: HTTPRequest) -> Bool {
        request.head.isHTTP10 && response.body.length == nil
    }

    /// Sends an answer, waiting for its client where it is large; `closing` if it `endsConnection`.
    func send(
        _ response: HTTPResponse, to request: HTTPRequest, closing: Bool,
    ) async throws {
        if case .bytes(let bytes) = response.body, bytes.count <= HTTPResponse.mostCopied {
            return write(response, bytes, to: request, closing: closing)
        }
        begin(response, to: request, closing: closing)
        var sent = 0
        defer { home.answered(request, status: response.status, bytes: sent) }
        guard sendsContent(of: response, to: request) else { return }
        switch response.body {
        case .bytes(let bytes):
            sent = bytes.count
            try await stream.write(bytes[...])
        case .content(let content):
            if let file = content.file, !stream.socket.isSecure {
                return try await stream.write(file, content.range, &sent)
            }
            try await eachPiece(content.pieces) { piece in
                try await stream.write(piece)
                sent += piece.count
            }
        case .stream(let next):
            stream.hold(response.coderBytes, as: \.coder)
            defer { stream.hold(0, as: \.coder) }
            // The first piece may take its time; the client is to know at once what it will get.
            stream.flushSoon()
            try await send(next, isChunked: !request.head.isHTTP10, &sent)
        }
    }

    /// RFC 9112, section 6.3: whatever the handler says, nothing follows the head of some answers.
    private func sendsContent(of response: HTTPResponse, to request: HTTPRequest) -> Bool {
        request.head.method != .head && HTTPStatus.hasContent(response.status)
    }

    /// Writes an answer's head and counts the answer.
    private func begin(_ response: HTTPResponse, to request: HTTPRequest, closing: Bool) {
        home.answers.add(route: request.routeIndex, status: response.status)
        writeHead(response, to: request, closing: closing)
    }

    private func writeHead(_ response: HTTPResponse, to request: HTTPRequest, closing: Bool) {
        home.beginHead(of: response, to: stream.client, &stream.output)
        for (name, value) in response.fields { stream.output.field(name, value) }
        if let length = response.body.length {
            if HTTPStatus.hasContent(response.status) {
                stream.output.ownField("Content-Length: ", decimal: length)
            }
        } else if !request.head.isHTTP10, HTTPStatus.hasContent(response.status) {
            // RFC 9112, section 6.1: not to HTTP/1.0, where the end of the connection ends the body, nor where
            // there is none.
            stream.output.ownField("Transfer-Encoding: ", "chunked")
        }
        stream.output.append("X-Request-Id: ")
        request.withID { stream.output.bytes.append($0) }
        stream.output.append("\r\n")
        if closing {
            stream.output.ownField("Connection: ", "close")
        } else if request.head.isHTTP10 {
            stream.output.ownField("Connection: ", "keep-alive")
        }
        stream.output.endHead()
    }

    /// Sends a body piece by piece, asking for each when the client has taken the one before.
    private func send(
        _ next: @Sendable () async throws -> [UInt8]?, isChunked: Bool, _ sent: inout Int,
    ) async throws {
        // RFC 9112, section 8: an end that comes too soon must not look like that of the body.
        stream.socket.abortsOnClose = !isChunked
        try await eachPiece(next) { piece in
            if isChunked {
                stream.output.chunk(piece)
            } else {
                stream.output.bytes.append(piece)
            }
            try await stream.flush()
            sent += piece.count
        }
        stream.socket.abortsOnClose = false
        if isChunked { stream.output.lastChunk() }
    }

    /// Hands on one piece after the other, until the last or until the client has left: where there
    /// is something to send, the sending fails; a client that has closed its side may still read.
    private func eachPiece<Piece: Collection<UInt8>>(
        _ next: @Sendable () async throws -> Piece?, _ take: (Piece) async throws -> Void,
    ) async throws {
        stream.isHandling = true
        defer { stream.isHandling = false }
        while let piece = try await next() {
            if piece.isEmpty { try Task.checkCancellation() }
            try await take(piece)
        }
    }

    /// Says why the connection ends, so that the client can read it: to a request whose body broke a
    /// rule or, without one, to a head that did.
    func refuse(_ refusal: HTTPRefusal, of request: HTTPRequest? = nil) async {
        home.counters.addRefusal(refusal.status)
        let response = home.settings.refusal(refusal.status, refusal.detail)
        let head = refusal.head ?? .unreadable(.http11, method: .other)
        let request = request ?? home.request(head, stream.client)
        guard (try? await send(response, to: request, closing: true)) != nil,
            (try? await stream.flush()) != nil
        else { return }
        await stream.linger()
    }
}
