import HTTPWire
import JobEngine
import Jobs
import Synchronization
import WebServer

/// What jobs have printed, as text.
extension JobRoutes {
    func logs(_ request: HTTPRequest) async throws -> HTTPResponse {
        let id = try id(request)
        let tail = try integer(request, "tail", 0...1_000_000)
        let isFollowing: Bool
        switch request.query("follow") {
        case nil, "0": isFollowing = false
        case "1": isFollowing = true
        default: throw badQuery("follow", "0 or 1")
        }
        guard try await queue.job(id) != nil else { throw Problem.noJob(id.description) }
        let log = LogText(of: id, in: queue)
        var text = try await log.rest()
        if let tail { text = LogText.lastLines(tail, of: text) }
        guard isFollowing else {
            return HTTPResponse(200, type: Self.textType, text)
        }
        log.hold(text)
        return HTTPResponse(
            200,
            fields: [
                ("Content-Type", Self.textType), ("Cache-Control", "no-store"),
                ("X-Accel-Buffering", "no"),
            ],
            .stream { try await log.next() })
    }

    private static let textType = "text/plain; charset=utf-8"
}

/// Where the reading of one job's log stands.
private final class LogText: Sendable {
    private let job: JobID
    private let queue: JobQueue
    private let cursor = Mutex<Int64>(0)
    /// What was read and is to be told before all else.
    private let held = Mutex<[UInt8]?>(nil)

    init(of job: JobID, in queue: JobQueue) {
        self.job = job
        self.queue = queue
    }

    private static let pageBytes = 256 << 10

    /// All that is written and was not read; a log is bounded.
    func rest() async throws -> [UInt8] {
        var text: [UInt8] = []
        while true {
            let (page, _) = try await read(isWaiting: false)
            if page.text.isEmpty { return text }
            text += page.text
        }
    }

    func hold(_ text: [UInt8]) { held.withLock { $0 = text } }

    /// The next lines as they are written; nil at the end of the job.
    func next() async throws -> [UInt8]? {
        if let text = held.withLock({ $0.take() }) { return text }
        while true {
            let (page, hasEnded) = try await read(isWaiting: true)
            if !page.text.isEmpty { return page.text }
            if hasEnded { return nil }
            try Task.checkCancellation()
        }
    }

    private func read(isWaiting: Bool) async throws -> (page: LogPage, hasEnded: Bool) {
        let found = try await queue.nextLog(
            job, after: cursor.withLock { $0 }, maxBytes: Self.pageBytes, isWaiting: isWaiting)
        cursor.withLock { $0 = found.page.next }
        return found
    }

    static func lastLines(_ count: Int, of text: [UInt8]) -> [UInt8] {
        var left = count
        var start = text.count
        while start > 0 {
            // Each line ends with its line feed.
            if text[start - 1] == UInt8(ascii: "\n") {
                if left == 0 { break }
                left -= 1
            }
            start -= 1
        }
        return Array(text[start...])
    }
}
