import CNghttp2
import HTTPWire
import Sockets

/// What comes: frames, which become requests and their bodies.
extension HTTP2Connection: HTTP2SessionEvents {
    func frameBegins(type: UInt8, stream id: Int32) -> UInt32? {
        guard UInt32(type) == NGHTTP2_HEADERS.rawValue, id & 1 == 1 else { return nil }
        if id > highestID, streams.count >= home.settings.streams {
            home.counters.add(.limitStreams)
        }
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
        isTrailer ? builder.weigh(name, value) : builder.add(name, value)
    }

    func headIsComplete(_ id: Int32, endsStream: Bool) {
        guard let open = streams[id] else { return }
        if endsStream {
            open.hasClientEnded = true
            open.endBody()
        }
        do throws(HTTPRefusal) {
            let head = try builder.head()
            guard headBytes + head.bytes.count <= Self.mostHeadBytes else {
                home.counters.add(.limitStreams)
                // RFC 9113, section 8.7: nothing was done, it may be sent again.
                return reset(id, NGHTTP2_REFUSED_STREAM)
            }
            open.headBytes = head.bytes.count
            begin(open, head)
        } catch {
            refuse(error, open)
        }
    }

    func data(_ bytes: UnsafeBufferPointer<UInt8>, _ id: Int32) {
        guard let open = streams[id], let route = open.route, !open.isBodyComplete,
            open.bodyFailure == nil, !open.isClosed
        else {
            // Nobody will read it: answered, or about to be.
            return session.consume(bytes.count, id)
        }
        let limit = home.service.bodyLimit(of: route)
        guard open.received + bytes.count <= limit else {
            session.consume(bytes.count, id)
            return refuseBody(.bodyTooLarge(limit), of: open)
        }
        let mostHeld = home.settings.limits.bodyBytes
        guard bodyBytes + bytes.count <= mostHeld else {
            session.consume(bytes.count, id)
            home.counters.add(.limitBody)
            let detail = "The bodies that the connection sends at once are over \(mostHeld) bytes."
            return refuseBody(HTTPRefusal(503, detail), of: open)
        }
        open.add(bytes)
        // A body that is collected is taken as it comes; one that is streamed when the handler asks.
        if !route.takesBodyAsStream { session.consume(bytes.count, id) }
    }

    func bodyIsComplete(_ id: Int32) {
        guard let open = streams[id] else { return }
        open.hasClientEnded = true
        guard !open.isBodyComplete else { return }
        open.endBody()
        if let route = open.route, !route.takesBodyAsStream { ready.append(open) }
    }

    func streamClosed(_ id: Int32) {
        guard let closed = streams.removeValue(forKey: id) else { return }
        note(closed)
        closed.close()
        if streams.isEmpty { startIdleClock() }
    }

    /// Takes note of a request that is over; status 0 is of one without an answer.
    func note(_ closed: HTTP2Stream) {
        guard let request = closed.request else { return }
        home.answered(request, status: closed.status, bytes: closed.sent)
    }

    func answerLeft(_ id: Int32) {
        guard let open = streams[id], open.isBodyUnwanted, !open.hasClientEnded else { return }
        // RFC 9113, section 8.1: the client may stop sending, and has its answer all the same.
        reset(id, NGHTTP2_NO_ERROR)
    }

    func frameWasInvalid(_ id: Int32) {
        // The stream is reset, or was never begun; more of it may be on its way.
        noteReset(id)
    }

    func errorLeft(_ id: Int32) {
        home.counters.add(.http2Errors)
        guard id > 0 else { return }
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
        guard !open.isClosed else { return session.consumeConnection(count) }
        session.consume(count, open.id)
        pumpSoon()
    }

    /// Lets the client send as much more on its other streams; what is collected was counted as it came.
    func dropped(_ count: Int, of open: HTTP2Stream) {
        if count > 0, open.route?.takesBodyAsStream == true { session.consumeConnection(count) }
    }

    /// Drops what has come of a body, and what may follow of it, since the request is answered.
    func abandonBody(of open: HTTP2Stream) {
        open.abandonBody()
        let rest = open.takeBody()
        if open.route?.takesBodyAsStream == true { session.consume(rest.count, open.id) }
    }

    /// Refuses a request for its body; where a handler is at work already, it is told.
    func refuseBody(_ refusal: HTTPRefusal, of open: HTTP2Stream) {
        guard open.task == nil else { return open.failBody(refusal) }
        ready.removeAll { $0 === open }
        refuse(refusal, open)
    }
}
