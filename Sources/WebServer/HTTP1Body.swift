import HTTPWire
import Sockets

/// The body of one request on its connection (RFC 9112, section 6).
///
/// Both ways of handing it over, whole or in pieces, read it through `more(into:)`.
final class HTTP1Body: @unchecked Sendable {
    // Unchecked: used on the loop's thread alone, which `next` sees to.
    private unowned let connection: HTTP1Connection
    private let stream: ClientStream
    private let settings: HTTPServerConfiguration
    private var rest: Rest
    private var awaitsContinue: Bool
    private var clock: BodyClock
    /// Whether the client knows what `103` is, and no proxy is between that might not: it names
    /// `Prefer` in `Connection`, which goes no further than to the next hop (RFC 9110, section
    /// 7.6.1), and is not of HTTP/1.0 (section 15.2).
    private let takesHints: Bool
    /// Why the body could not be read; that of the handler is no answer to the request then.
    private(set) var failure: (any Error)?

    private enum Rest {
        case bytes(Int)
        case chunks(ChunkedDecoder)
        case nothing
    }

    init(of head: RequestHead, limit: Int, isLive: Bool, on connection: HTTP1Connection) {
        clock = BodyClock(isLive: isLive)
        takesHints =
            !head.isHTTP10
            && head.field("connection")?.lowercased().listMembers().contains("prefer") == true
        settings = connection.home.settings
        switch head.body {
        case .none: rest = .nothing
        case .bytes(let count): rest = .bytes(count)
        case .chunked: rest = .chunks(ChunkedDecoder(limit: limit))
        }
        self.connection = connection
        stream = connection.stream
        // RFC 9110, section 10.1.1: not when the body is under way already.
        awaitsContinue = head.expectation == .continue && connection.input.isEmpty
    }

    /// Whether something of the body is left that nobody will read.
    var isUnread: Bool {
        if case .nothing = rest { false } else { true }
    }

    /// All of the body.
    func collect() async throws -> [UInt8] {
        var body: [UInt8] = []
        defer { stream.hold(0, as: \.body) }
        while try await more(into: &body) {
            stream.hold(body.count, as: \.body)
            stream.home.relieve()
            guard case .bytes(let left) = rest else { continue }
            body.makeRoom(for: left, atLeast: stream.home.scratch.count)
        }
        return body
    }

    /// The body in pieces, for a handler wherever it runs.
    var pieces: HTTPBodyStream {
        HTTPBodyStream(
            pull: { try await self.next() }, tell: { await self.hint($0) },
            keep: { await self.keep($0) })
    }

    /// Runs on the loop, which the connection's task prefers.
    @concurrent private func next() async throws -> [UInt8]? {
        precondition(stream.home.loop.isCurrent, "a body is read in the task of its handler")
        var piece: [UInt8] = []
        while piece.isEmpty {
            guard try await more(into: &piece) else { break }
        }
        return piece.isEmpty ? nil : piece
    }

    /// Appends what there is, waiting for something to come; false when the body is complete.
    private func more(into body: inout [UInt8]) async throws -> Bool {
        guard isUnread else { return false }
        do {
            try await read(into: &body)
        } catch SocketError.timedOut {
            throw fail(refusal)
        } catch {
            throw fail(error)
        }
        return isUnread
    }

    /// Why nothing more is waited for.
    private var refusal: HTTPRefusal {
        if stream.isGivenUp { return .heldTooMuch }
        if let bound = clock.bound(settings) { stream.home.counters.add(bound.counter) }
        return .bodyTooSlow
    }

    private func fail(_ error: any Error) -> any Error {
        failure = error
        return error
    }

    private func read(into body: inout [UInt8]) async throws {
        // What came with the head is used first.
        if !connection.input.isEmpty {
            try connection.input.use { bytes throws(HTTPRefusal) in try take(bytes, into: &body) }
            return
        }
        try await sayContinue()
        clock.begin(stream.home.loop.now)
        stream.startReadClock(clock.bound(settings)?.deadline ?? .never)
        defer { stream.stopReadClock() }
        if case .bytes(let left) = rest, body.capacity > body.count {
            // Without a detour by the loop's scratch.
            let count = try await stream.receive(
                upTo: min(left, body.capacity - body.count), into: &body)
            guard count > 0 else { throw HTTP1Connection.End.quietly }
            clock.end(stream.home.loop.now, bytes: count)
            rest = count == left ? .nothing : .bytes(left - count)
            return
        }
        let count = try await stream.receive()
        guard count > 0 else { throw HTTP1Connection.End.quietly }
        clock.end(stream.home.loop.now, bytes: count)
        let fresh = stream.received(count).span
        let used = try take(fresh, into: &body)
        connection.input.keep(fresh.extracting(used...))
    }

    /// How many of the bytes belong to the body; its data are appended.
    private func take(_ bytes: Span<UInt8>, into body: inout [UInt8]) throws(HTTPRefusal) -> Int {
        switch rest {
        case .nothing: return 0
        case .bytes(let left):
            let count = min(left, bytes.count)
            bytes.extracting(..<count).withUnsafeBufferPointer { body.append(contentsOf: $0) }
            rest = count == left ? .nothing : .bytes(left - count)
            return count
        case .chunks(var decoder):
            rest = .nothing
            let count = try decoder.decode(bytes, into: &body)
            if !decoder.isDone { rest = .chunks(decoder) }
            return count
        }
    }

    private func sayContinue() async throws {
        guard awaitsContinue else { return }
        awaitsContinue = false
        stream.output.append("HTTP/1.1 100 Continue\r\n\r\n")
        try await stream.flush()
    }

    @concurrent private func keep(_ bytes: Int) async {
        precondition(stream.home.loop.isCurrent, "a body is read in the task of its handler")
        stream.hold(bytes, as: \.body)
        stream.home.relieve()
    }

    @concurrent private func hint(_ fields: [HTTPField]) async {
        precondition(stream.home.loop.isCurrent, "hints are given in the task of the handler")
        guard takesHints else { return }
        stream.output.beginHead(103)
        for (name, value) in fields { stream.output.field(name, value) }
        stream.output.endHead()
        stream.flushSoon()
    }
}
