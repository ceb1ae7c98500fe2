import HTTPWire
import JobEngine
import Jobs
import RawJSON
import Synchronization
import WebServer

/// The items of a map, a line each, while it runs.
extension JobRoutes {
    func items(_ request: HTTPRequest) async throws -> HTTPResponse {
        let id = try id(request)
        let cursor = try itemCursor(request)
        let onlyFailed = try wantsOnlyFailed(request)
        let wait = try number(request, "wait", 0...3600)
        guard let job = try await queue.job(id) else { throw Problem.noJob(id.description) }
        guard job.isMap else { throw Problem.notAMap(id) }
        if let expires = job.expiresAt, expires < .now() { throw Problem.expired(id) }
        let stream = ItemStream(
            job: id, first: cursor, onlyFailed: onlyFailed, wait: wait, queue: queue)
        return HTTPResponse(
            200, fields: [("Content-Type", "application/x-ndjson")],
            .stream { try await stream.next() })
    }

    private func itemCursor(_ request: HTTPRequest) throws -> ItemCursor {
        let from = try integer(request, "from", 0...1_000_000_000_000)
        switch request.query("order") {
        case nil, "index": return .index(from ?? 0)
        case "completion":
            guard from == nil else { throw badQuery("from", "left out with order=completion") }
            return .written(after: 0)
        default: throw badQuery("order", "index or completion")
        }
    }

    private func wantsOnlyFailed(_ request: HTTPRequest) throws -> Bool {
        switch request.query("state") {
        case nil: return false
        case "failed": return true
        default: throw badQuery("state", "failed, or left out for all items")
        }
    }
}

/// The lines of one answer; ends when the job has ended and all its items were told, or when none
/// has come for as long as the client waits.
private final class ItemStream: Sendable {
    private let job: JobID
    private let onlyFailed: Bool
    private let queue: JobQueue
    /// Seconds for which nothing may come; nil for no bound.
    private let wait: Double?
    private let cursor: Mutex<ItemCursor>

    init(job: JobID, first: ItemCursor, onlyFailed: Bool, wait: Double?, queue: JobQueue) {
        self.job = job
        self.onlyFailed = onlyFailed
        self.wait = wait
        self.queue = queue
        cursor = Mutex(first)
    }

    private static let pageBytes = 256 << 10

    /// The next lines; empty when nothing came for a while, nil at the end.
    func next() async throws -> [UInt8]? {
        let start = cursor.withLock { $0 }
        let (page, hasEnded) = try await queue.nextItems(
            job, start, onlyFailed: onlyFailed, maxBytes: Self.pageBytes, seconds: wait ?? 10)
        if page.isEmpty {
            if hasEnded { try await checkThatAllWereThere(upTo: start) }
            return hasEnded || wait != nil ? nil : []
        }
        cursor.withLock { $0 = page.next }
        let first = if case .index(let index) = start { index } else { 0 }
        return page.segments.flatMap { lines($0, from: first) }
    }

    /// Throws when the job was dropped, or its results were, while they were read: the client sees an
    /// answer cut short.
    private func checkThatAllWereThere(upTo end: ItemCursor) async throws {
        guard let found = try await queue.job(job) else { throw Problem.noJob(job.description) }
        guard case .index(let next) = end, !onlyFailed, found.state == .succeeded else { return }
        if next < found.itemCount ?? 0 { throw Problem.expired(job) }
    }

    private func lines(_ segment: ItemSegment, from first: Int) -> [UInt8] {
        let results = RawJSON(trusted: ([0x5b] + segment.results + [0x5d])[...]).elements()
        var failures: [Int: Failure] = [:]
        for failure in segment.failures { failures[failure.index ?? 0] = failure }
        var writer = JSONWriter(capacity: segment.results.count + 32 * results.count)
        for (offset, result) in results.enumerated() where segment.first + offset >= first {
            let index = segment.first + offset
            let failure = failures[index]
            if onlyFailed, failure == nil { continue }
            writer.beginLine()
            writer.beginObject()
            writer.member("index", index)
            if let failure {
                writer.key("error")
                failure.write(to: &writer)
            } else {
                writer.member("result", result.compacted())
            }
            writer.endObject()
        }
        return writer.count == 0 ? [] : writer.line()
    }
}
