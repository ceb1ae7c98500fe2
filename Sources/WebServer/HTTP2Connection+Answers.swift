import CNghttp2
import HTTPWire
import Sockets

/// How answers leave: heads at once, bodies as their stream's window lets them.
extension HTTP2Connection {
    func answer(_ response: HTTPResponse, on open: HTTP2Stream) {
        home.answers.add(route: open.request?.routeIndex, status: response.status)
        block.begin(response.status)
        if let type = response.type {
            block.own("content-type") { $0.append(contentsOf: type.utf8) }
        }
        home.security.add(home.security.needs(of: response, stream.client), to: &block)
        for (name, value) in response.fields { block.add(name, value) }
        let date = home.dateText
        block.own("date") { $0.append(contentsOf: date.utf8) }
        if let request = open.request {
            block.own("x-request-id", isIndexed: false) { octets in
                request.withID { octets.append(contentsOf: $0) }
            }
        }
        open.status = response.status
        let hasContent = HTTPStatus.hasContent(response.status)
        if hasContent, let length = response.body.length {
            block.own("content-length") { $0.append(contentsOf: String(length).utf8) }
        }
        let isSent = hasContent && open.request?.head.method != .head
        if case .bytes(let bytes) = response.body {
            if isSent, !bytes.isEmpty { open.offer(bytes, isLast: true) }
            session.submit(block, open.id, body: isSent && !bytes.isEmpty ? open : nil)
        } else {
            session.submit(block, open.id, body: isSent ? open : nil)
        }
        // RFC 9113, section 8.1: the rest of a request that is answered early is not wanted.
        if !open.isBodyComplete { abandonBody(of: open) }
        pumpSoon()
    }

    func sendPieces(of response: HTTPResponse, on open: HTTP2Stream) async {
        guard let next = response.body.pieces, open.request?.head.method != .head,
            HTTPStatus.hasContent(response.status)
        else { return }
        open.coderBytes = response.coderBytes
        defer { open.coderBytes = 0 }
        do {
            while let piece = try await next() {
                guard !open.isClosed else { return }
                guard !piece.isEmpty else { continue }
                open.offer(piece, isLast: false)
                home.relieve()
                pumpSoon()
                try await open.untilTaken()
            }
            guard !open.isClosed else { return }
            open.offer([], isLast: true)
        } catch {
            // The client sees that the answer is not whole.
            if !open.isClosed { reset(open.id, NGHTTP2_INTERNAL_ERROR) }
        }
        pumpSoon()
    }

    func hint(_ fields: [HTTPField], on open: HTTP2Stream) {
        block.begin(103)
        for (name, value) in fields { block.add(name, value) }
        session.submitInterim(block, open.id)
        pumpSoon()
    }

    func refuse(_ refusal: HTTPRefusal, _ open: HTTP2Stream) {
        home.counters.addRefusal(refusal.status)
        if open.request == nil {
            let head = refusal.head ?? .unreadable(.http2, method: .other)
            open.request = home.request(head, stream.client)
        }
        answer(home.settings.refusal(refusal.status, refusal.detail), on: open)
    }

    func resume(_ open: HTTP2Stream) {
        session.resume(open.id)
        pumpSoon()
    }

    /// Ends a stream whose client takes nothing of it, and lets go at once of what is held for it: its
    /// frame may have to wait for the client, too.
    func breakOff(_ open: HTTP2Stream) {
        reset(open.id, NGHTTP2_CANCEL)
        open.close()
    }

    /// Ends a stream because too much is held: of the clients' many it has moved nothing for longest.
    func giveUp(_ open: HTTP2Stream) {
        if open.unsent == 0, open.task == nil || open.awaitsBody {
            refuseBody(.heldTooMuch, of: open)
        } else if open.unsent > 0, stream.stalledSince != .never {
            // Nothing can be said to the client: none of its streams will go on.
            stream.giveUp()
        } else {
            breakOff(open)
        }
    }

    func reset(_ id: Int32, _ code: nghttp2_error_code) {
        noteReset(id)
        session.reset(id, code)
        pumpSoon()
    }

    /// Remembers a stream that this side has ended, for a while.
    func noteReset(_ id: Int32) {
        guard recentlyReset.last != id else { return }
        recentlyReset.append(id)
        if recentlyReset.count > 256 { recentlyReset.removeFirst(128) }
    }
}
