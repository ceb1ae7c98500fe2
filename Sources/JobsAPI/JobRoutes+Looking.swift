import HTTPWire
import JobEngine
import Jobs
import RawJSON
import Synchronization
import WebServer

/// Jobs, their results and items, as they stand.
extension JobRoutes {
    /// The job of the request, at its end or after `?wait=` seconds.
    func waited(_ request: HTTPRequest) async throws -> Job {
        let id = try id(request)
        let seconds = try number(request, "wait", 0...3600) ?? 0
        let job = try await queue.summary(of: id, waiting: seconds, resultUpTo: Self.wholeBytes)
        guard let job else { throw Problem.noJob(id.description) }
        return job
    }

    func status(_ request: HTTPRequest) async throws -> HTTPResponse {
        let job = try await waited(request)
        var response = document(of: job, status: 200)
        response.fields.append(("ETag", JobDocument.entityTag(of: job, as: response.body)))
        return response
    }

    func result(_ request: HTTPRequest) async throws -> HTTPResponse {
        let job = try await waited(request)
        let id = job.id
        switch job.state {
        case .queued, .running, .cancelling:
            var response = accepted(job, status: 202)
            response.fields.append(("Retry-After", "1"))
            return response
        case .failed, .cancelled:
            var problem = Problem(
                409, "job-\(job.state.rawValue)", "The job has no result",
                job.failure?.message ?? "The job was \(job.state.rawValue).")
            problem.failure = job.failure
            throw problem
        case .succeeded:
            if let expires = job.expiresAt, expires < .now() { throw Problem.expired(id) }
            if job.isMap { return mapResult(of: job) }
            guard let response = try await callResult(of: job) else { throw Problem.expired(id) }
            return response
        }
    }

    /// The results of a map as one array, streamed from the store.
    func mapResult(of job: Job) -> HTTPResponse {
        let (id, count) = (job.id, job.itemCount ?? 0)
        let state = StreamState(next: 0)
        let queue = self.queue
        return HTTPResponse(
            200, fields: [("Content-Type", "application/json")],
            .stream {
                guard !state.over else { return nil }
                let first = state.next
                let page = try await queue.items(id, .index(first), maxBytes: 256 << 10)
                let segments = page.segments
                var piece: [UInt8] = first == 0 ? [UInt8(ascii: "[")] : []
                for segment in segments {
                    guard segment.first == state.next else { throw Problem.expired(id) }
                    if segment.first > 0 { piece.append(UInt8(ascii: ",")) }
                    piece += segment.results
                    state.next = segment.first + segment.count
                }
                if segments.isEmpty {
                    // Dropped, or run again, while it was read: the client sees an answer cut short.
                    guard state.next == count else { throw Problem.expired(id) }
                    piece.append(UInt8(ascii: "]"))
                    state.over = true
                }
                return piece
            })
    }

    func list(_ request: HTTPRequest) async throws -> HTTPResponse {
        try request.requireQuery(
            of: ["state", "function", "queue", "tag", "search", "limit", "cursor"])
        var query = JobQuery(limit: try integer(request, "limit", 1...1000) ?? 50)
        if let state = request.query("state") {
            guard let known = JobState(rawValue: state) else {
                throw badQuery("state", JobState.allCases.map(\.rawValue).joined(separator: ", "))
            }
            query.state = known
        }
        query.function = request.query("function")
        query.queue = request.query("queue")
        query.tag = request.query("tag")
        query.search = request.query("search")
        if let cursor = request.query("cursor") {
            guard let id = JobID(cursor) else { throw badQuery("cursor", "a cursor of a list") }
            query.before = id
        }
        let jobs = try await queue.list(query)
        var writer = JSONWriter(capacity: 400 * jobs.count + 64)
        writer.beginObject()
        writer.key("jobs")
        writer.beginArray()
        for job in jobs { JobDocument.write(job, to: &writer, withResult: false) }
        writer.endArray()
        writer.key("next_cursor")
        if jobs.count == query.limit, let last = jobs.last {
            writer.value(last.id.description)
        } else {
            writer.append(number: "null")
        }
        writer.endObject()
        return .json(200, writer.bytes)
    }

    func number(
        _ request: HTTPRequest, _ name: String, _ range: ClosedRange<Double>,
    ) throws -> Double? {
        guard let text = request.query(name) else { return nil }
        guard let number = Double(text), range.contains(number) else {
            throw badQuery(
                name, "a number from \(Int(range.lowerBound)) to \(Int(range.upperBound))")
        }
        return number
    }

    func integer(
        _ request: HTTPRequest, _ name: String, _ range: ClosedRange<Int>,
    ) throws -> Int? {
        guard let text = request.query(name) else { return nil }
        guard let number = Int(text), range.contains(number) else {
            throw badQuery(name, "a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    func badQuery(_ name: String, _ wanted: String) -> Problem {
        Problem(
            400, "invalid-query", "The query is not valid", "\"\(name)\" must be: \(wanted).")
    }
}

/// Where a streamed answer stands; one piece is made at a time.
private final class StreamState: Sendable {
    private let state: Mutex<(next: Int, isOver: Bool)>

    init(next: Int) { state = Mutex((next, false)) }

    /// Index of the item that comes next.
    var next: Int {
        get { state.withLock { $0.next } }
        set { state.withLock { $0.next = newValue } }
    }

    var over: Bool {
        get { state.withLock { $0.isOver } }
        set { state.withLock { $0.isOver = newValue } }
    }
}
