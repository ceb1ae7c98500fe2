import HTTPWire
import Threads

/// Compresses answers for clients that take them so (RFC 9110, section 12.5.3).
struct Compression: Sendable {
    private let smallest: Int
    /// Where what is large is compressed: it would keep a loop's other clients waiting.
    private let threads: ThreadExecutor

    /// Up to so many bytes are compressed on the loop itself, in less than a millisecond.
    private static let mostOnLoop = 32 << 10

    /// Compresses what is as large as `smallest` bytes.
    init(smallest: Int) {
        self.smallest = smallest
        threads = ThreadExecutor(name: "compressor", threads: 1)
    }

    /// Ends the thread when it has done what it was given.
    func stop() { threads.stop() }

    /// The answer as its client takes it; as it is, if as many of the loop's answers are being
    /// compressed as may be.
    func applied(
        to response: HTTPResponse, for head: RequestHead, on home: ServerLoop,
    ) async -> HTTPResponse {
        var response = response
        guard let kind = choose(for: &response, head) else { return response }
        guard let coder = home.coders.take(kind) else {
            home.counters.add(.limitCoders)
            return response
        }
        response.fields.append(("Content-Encoding", kind.name))
        switch response.body {
        case .bytes(let bytes): response.body = .bytes(await code(bytes, isLast: true, coder))
        case .content, .stream:
            guard let next = response.body.pieces else { break }
            response.body = .stream(coded(next, coder))
            response.coderBytes = kind.heldBytes
        }
        return response
    }

    /// What its client would have the answer's content coded by; nil for none.
    ///
    /// The fields then say that this differs from client to client.
    func choose(for response: inout HTTPResponse, _ head: RequestHead) -> (any ContentCoder.Type)? {
        guard concerns(response) else { return nil }
        response.fields.append(("Vary", "Accept-Encoding"))
        // Ranges are of the plain content: its tag is the strong one.
        guard response.status != 206, let accepted = head.field("accept-encoding"),
            let name = AcceptEncoding.choice(accepted, offered: ContentCoders.names)
        else { return nil }
        tag(&response, codedBy: name)
        return ContentCoders.all.first { $0.name == name }
    }

    /// Whether the answer is one of those that are compressed for who takes them so.
    func concerns(_ response: HTTPResponse) -> Bool {
        response.status == 200 || response.status >= 400 || response.status == 206
            ? isWorthIt(response) : false
    }

    /// Text that is not small and not compressed already.
    private func isWorthIt(_ response: HTTPResponse) -> Bool {
        if response.status != 206, let length = response.body.length, length < smallest {
            return false
        }
        let type = response.mediaType
        guard
            type.hasSuffix("json") || type.hasPrefix("text/") || type.hasSuffix("yaml")
                || type.hasSuffix("javascript")
        else { return false }
        return response.field("content-encoding") == nil && type != "text/event-stream"
    }

    /// RFC 9110, section 8.8.3.3: the same strong tag must not name two different rows of octets.
    ///
    /// What is coded at once is always coded the same, and has a strong tag of its own, since that alone may
    /// be in `If-Match`.
    private func tag(_ response: inout HTTPResponse, codedBy name: String) {
        for index in response.fields.indices where response.fields[index].name.isFieldName("etag") {
            let tag = response.fields[index].value
            if case .bytes = response.body {
                response.fields[index].value = EntityTag.coded(tag, by: name)
            } else {
                response.fields[index].value = EntityTag.weak(tag)
            }
        }
    }

    private func code(
        _ bytes: [UInt8], isLast: Bool, _ coder: LiveCoder,
    ) async -> [UInt8] {
        guard bytes.count > Self.mostOnLoop else { return coder.code(bytes, isLast: isLast) }
        return await withTaskExecutorPreference(threads) {
            await coder.codeElsewhere(bytes, isLast: isLast)
        }
    }

    private func coded(
        _ next: @escaping @Sendable () async throws -> [UInt8]?, _ coder: LiveCoder,
    ) -> @Sendable () async throws -> [UInt8]? {
        {
            guard !coder.isOver else { return nil }
            guard let piece = try await next() else { return coder.code([], isLast: true) }
            return await code(piece, isLast: false, coder)
        }
    }
}
