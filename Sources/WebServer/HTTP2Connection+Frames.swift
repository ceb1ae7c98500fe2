import CNghttp2
import HTTPWire
import Sockets

/// What comes: frames, which become requests and their bodies.
extension HTTP2Connection: HTTP2SessionEvents {
    func frameBegins(type: UInt8, stream id: Int32) -> UInt32? {
        guard UInt32(type) == NGHTTP2_HEADERS.rawValue, id & 1 == 1 else { return nil }
        guard id < highestID, streams[id] == nil, !recentlyReset.contains(id) else { return nil }
        // RFC 9113, section 5.1.1: a new stream's number is higher than all before; nghttp2 would
        // pass over the frame.
        return NGHTTP2_PROTOCOL_ERROR.rawValue
    }

    func headBegins(_ id: Int32) {
        highestID = max(highestID, id)
        builder.begin()
        streams[id] = HTTP2Stream(id, self)
        stream.readDeadline = .never
    }

    func trailerBegins() { builder.begin() }

    func field(_ name: Span<UInt8>, _ value: Span<UInt8>, isTrailer: Bool) -> Bool {
        let isBorne = isTrailer ? builder.weigh(name, value) : builder.add(name, value)
        if !isBorne { home.counters.add(.http2Errors) }
        return isBorne
    }

    func headIsComplete(_ id: Int32, endsStream: Bool) {
        guard let open = streams[id] else { return }
        if endsStream { open.endBody() }
        do throws(HTTPRefusal) {
            begin(open, try builder.head())
        } catch {
            refuse(error, open)
        }
    }

    func data(_ bytes: UnsafeBufferPointer<UInt8>, _ id: Int32) {
        guard let open = streams[id], let route = open.route, !open.isBodyComplete,
            open.bodyFailure == nil
        else {
            // Nobody will read it: answered, or about to be.
            return session.consume(bytes.count, id)
        }
        let limit = home.service.bodyLimit(of: route)
        guard open.received + bytes.count <= limit else {
            session.consume(bytes.count, id)
            return refuseBody(413, "The body is over \(limit) bytes.", of: open)
        }
        let mostHeld = home.settings.limits.bodyBytes
        guard bodyBytes + bytes.count <= mostHeld else {
            session.consume(bytes.count, id)
            return refuseBody(
                503, "The bodies that the connection sends at once are over \(mostHeld) bytes.",
                of: open)
        }
        bodyBytes += bytes.count
        open.add(bytes)
        // A body that is collected is taken as it comes; one that is streamed when the handler asks.
        if !route.takesBodyAsStream { session.consume(bytes.count, id) }
    }

    func bodyIsComplete(_ id: Int32) {
        guard let open = streams[id], !open.isBodyComplete else { return }
        open.endBody()
        if let route = open.route, !route.takesBodyAsStream { ready.append(open) }
    }

    func streamClosed(_ id: Int32) {
        guard let closed = streams.removeValue(forKey: id) else { return }
        let rest = closed.takeBody()
        bodyBytes -= rest.count
        if !rest.isEmpty, closed.route?.takesBodyAsStream == true {
            session.consumeConnection(rest.count)
        }
        if let request = closed.request {
            home.answered(request, status: closed.status, bytes: closed.sent)
        }
        closed.close()
        if streams.isEmpty { startIdleClock() }
    }

    func answerLeft(_ id: Int32) {
        guard let open = streams[id], open.isBodyUnwanted else { return }
        // RFC 9113, section 8.1: the client may stop sending, and has its answer all the same.
        reset(id, NGHTTP2_NO_ERROR)
    }

    func frameWasInvalid(_ id: Int32) {
        home.counters.add(.http2Errors)
        // The stream is reset, or was never begun; more of it may be on its way.
        noteReset(id)
        // Each has nghttp2 reset a stream at once, which no limit of streams or of the client's own
        // resets counts ("MadeYouReset", CVE-2025-8671).
        mistakes += 1
        if mistakes == Self.mostMistakes {
            session.terminate(NGHTTP2_ENHANCE_YOUR_CALM)
            pumpSoon()
        }
    }

    // MARK: Bodies

    /// Lets the client send more, since a handler has taken what came.
    func consumed(_ count: Int, of open: HTTP2Stream) {
        bodyBytes -= count
        guard !open.isClosed else { return session.consumeConnection(count) }
        session.consume(count, open.id)
        pumpSoon()
    }

    /// Drops what has come of a body, and what may follow of it, since the request is answered.
    func abandonBody(of open: HTTP2Stream) {
        open.abandonBody()
        let rest = open.takeBody()
        bodyBytes -= rest.count
        if open.route?.takesBodyAsStream == true { session.consume(rest.count, open.id) }
    }

    /// Refuses a request for its body; where a handler is at work already, it is told.
    private func refuseBody(_ status: Int, _ detail: String, of open: HTTP2Stream) {
        let refusal = HTTPRefusal(status, detail)
        guard open.task == nil else { return open.failBody(refusal) }
        ready.removeAll { $0 === open }
        refuse(refusal, open)
    }
}
