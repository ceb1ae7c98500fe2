import Functions
import HTTPWire
package import JobEngine
import Jobs
import RawJSON
import Synchronization
package import WebServer

/// The routes of `/v1`: HTTP in, jobs out. Rules of jobs are in the engine, not here.
package struct JobRoutes: Sendable {
    private let queue: JobQueue

    package init(queue: JobQueue) { self.queue = queue }

    package var routes: [Route] {
        [
            route("POST", "/v1/jobs", submit),
            route("POST", "/v1/jobs/batch", submitBatch),
            route("GET", "/v1/jobs", list),
            route("GET", "/v1/jobs/{id}", status),
            route("DELETE", "/v1/jobs/{id}", delete),
            route("GET", "/v1/jobs/{id}/result", result),
            route("GET", "/v1/jobs/{id}/items", items),
            route("POST", "/v1/jobs/{id}/cancel", cancel),
            route("POST", "/v1/jobs/{id}/retry", retry),
            route("GET", "/v1/functions", functions),
            route("GET", "/v1/functions/{name}", function),
            route("GET", "/v1/pools", pools),
            route("GET", "/v1/queues", queues),
            route("GET", "/healthz") { _ in .json(200, Array("{\"status\":\"ok\"}\n".utf8)) },
            route("GET", "/readyz") { _ in .json(200, Array("{\"status\":\"ready\"}\n".utf8)) },
            route("GET", "/openapi.yaml") { _ in
                HTTPResponse(200, type: "application/yaml", EmbeddedFiles.openAPI)
            },
        ]
    }

    /// A route whose errors become problems, in this one place.
    private func route(
        _ method: String, _ path: String,
        _ handler: @escaping @Sendable (HTTPRequest) async throws -> HTTPResponse,
    ) -> Route {
        Route(method, path) { request in
            do {
                return try await handler(request)
            } catch let problem as Problem {
                return problem.response
            } catch let error as SubmissionError {
                return Problem(error).response
            } catch let error as StoreError {
                return Problem(error).response
            } catch let error as QueueFull {
                return Problem(error).response
            } catch {
                return Problem(500, "internal", "Something went wrong", "\(error)").response
            }
        }
    }

    // MARK: Submitting

    private func submit(_ request: HTTPRequest) async throws -> HTTPResponse {
        try requireType(request, ["application/json"])
        let submission = try JobSubmission(parsing: try json(request.body[...]))
        let job = try queue.prepare(
            submission, idempotencyKey: request.head.field("idempotency-key"))
        if let seconds = try preferredWait(request) {
            let ended = try await queue.submit(job, waiting: seconds)
            try checkKey(job, ended)
            return accepted(ended, status: ended.state.isEnd ? 200 : 202)
        }
        let kept = try await queue.submit([job])[0]
        try checkKey(job, kept)
        return accepted(kept, status: 202)
    }

    /// The same key with another body is a mistake of the client's.
    private func checkKey(_ sent: Job, _ kept: Job) throws {
        guard kept.id != sent.id, kept.submission.document != sent.submission.document else { return }
        throw Problem(
            422, "idempotency-key-reused", "The Idempotency-Key was used for another submission",
            "Job \(kept.id) has this key. Send a new key with a new submission.")
    }

    private func accepted(_ job: Job, status: Int) -> HTTPResponse {
        var response = HTTPResponse.json(status, JobDocument.bytes(job))
        response.fields.append(("Location", "/v1/jobs/\(job.id)"))
        return response
    }

    private func submitBatch(_ request: HTTPRequest) async throws -> HTTPResponse {
        try requireType(request, ["application/json", "application/x-ndjson"])
        var documents: [RawJSON] = []
        if request.head.field("content-type")?.hasPrefix("application/x-ndjson") == true {
            for line in request.body.split(separator: UInt8(ascii: "\n")) where line != [13] {
                documents.append(try json(line, at: JSONPointer().appending(documents.count)))
            }
        } else {
            let array = try json(request.body[...])
            guard array.kind == .array else {
                throw Problem(
                    422, "invalid-member", "The submission is not valid",
                    "A batch is a JSON array of submissions, or one submission a line (NDJSON).")
            }
            documents = array.elements()
        }
        guard documents.count <= 10_000 else {
            throw Problem(413, "batch-too-large", "Too many jobs", "A batch holds 10000 at most.")
        }
        var jobs: [Job] = []
        jobs.reserveCapacity(documents.count)
        for (index, document) in documents.enumerated() {
            let pointer = JSONPointer().appending(index)
            let submission = try JobSubmission(parsing: document, at: pointer)
            jobs.append(try queue.prepare(submission, at: pointer))
        }
        if !jobs.isEmpty { _ = try await queue.submit(jobs) }
        var writer = JSONWriter(capacity: 80 * jobs.count + 32)
        writer.beginObject()
        writer.key("jobs")
        writer.beginArray()
        for job in jobs {
            writer.beginObject()
            writer.member("id", job.id.description)
            writer.member("state", job.state.rawValue)
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        return .json(202, writer.bytes)
    }

    private func json(
        _ bytes: ArraySlice<UInt8>, at pointer: JSONPointer = JSONPointer(),
    ) throws -> RawJSON {
        do throws(RawJSONError) {
            return try RawJSON(validating: bytes)
        } catch {
            var problem = Problem(
                400, "invalid-json", "The body is not JSON", "The body is not valid JSON: \(error).")
            problem.pointer = pointer
            throw problem
        }
    }

    private func requireType(_ request: HTTPRequest, _ types: [String]) throws {
        let sent = request.head.field("content-type") ?? ""
        let type = sent.prefix { $0 != ";" && $0 != " " }.lowercased()
        guard types.contains(type) else {
            throw Problem(
                415, "wrong-content-type", "The Content-Type is not taken here",
                "Send Content-Type: \(types.joined(separator: " or ")), not \"\(sent)\".")
        }
    }

    /// Seconds of `Prefer: wait=N` (RFC 7240, section 4.3), an hour at most; nil when not there.
    private func preferredWait(_ request: HTTPRequest) throws -> Double? {
        for preference in request.head.field("prefer")?.split(separator: ",") ?? [] {
            let parts = preference.split(separator: "=").map { $0.filter { $0 != " " } }
            if parts.count == 2, parts[0].lowercased() == "wait", let seconds = Double(parts[1]),
                seconds >= 0 {
                return min(seconds, 3600)
            }
        }
        return nil
    }

    // MARK: Looking

    private func id(_ request: HTTPRequest) throws -> JobID {
        let text = request.parameters["id"] ?? ""
        guard let id = JobID(text) else { throw Problem.noJob(text) }
        return id
    }

    /// The job of the request, at its end or after `?wait=` seconds.
    private func waited(_ request: HTTPRequest) async throws -> Job {
        let id = try id(request)
        let seconds = try number(request, "wait", 0...3600) ?? 0
        guard let job = try await queue.wait(id, seconds: seconds) else {
            throw Problem.noJob(id.description)
        }
        return job
    }

    private func status(_ request: HTTPRequest) async throws -> HTTPResponse {
        let job = try await waited(request)
        let tag = "\"\(job.state.rawValue)-\(job.attempt)-\(job.itemsDone)\""
        if request.head.field("if-none-match") == tag {
            return HTTPResponse(304, fields: [("ETag", tag)], .bytes([]))
        }
        var response = HTTPResponse.json(200, JobDocument.bytes(job))
        response.fields.append(("ETag", tag))
        return response
    }

    private func result(_ request: HTTPRequest) async throws -> HTTPResponse {
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
            if let expires = job.expiresAt, expires < .now() { throw expired(id) }
            if job.submission.work.isMap { return mapResult(id) }
            guard let result = job.result else { throw expired(id) }
            return .json(200, Array(result.bytes))
        }
    }

    private func expired(_ id: JobID) -> Problem {
        Problem(
            410, "result-expired", "The result is gone",
            "The result of job \(id) was kept as long as its \"keep\" said. Submit it again.")
    }

    /// The results of a map as one array, streamed from the store.
    private func mapResult(_ id: JobID) -> HTTPResponse {
        let state = StreamState(next: 0)
        let queue = self.queue
        return HTTPResponse(
            200, fields: [("Content-Type", "application/json")],
            .stream {
                guard !state.over else { return nil }
                let first = state.next
                let segments = try await queue.items(id, from: first, maxBytes: 256 << 10)
                var piece: [UInt8] = first == 0 ? [UInt8(ascii: "[")] : []
                for segment in segments {
                    if segment.first > 0 { piece.append(UInt8(ascii: ",")) }
                    piece += segment.results
                    state.next = segment.first + segment.count
                }
                if segments.isEmpty {
                    piece.append(UInt8(ascii: "]"))
                    state.over = true
                }
                return piece
            })
    }

    private func items(_ request: HTTPRequest) async throws -> HTTPResponse {
        let id = try id(request)
        let from = Int(try number(request, "from", 0...1e12) ?? 0)
        guard let job = try await queue.job(id) else { throw Problem.noJob(id.description) }
        guard job.submission.work.isMap else {
            throw Problem(
                409, "not-a-map", "The job has no items",
                "Job \(id) is a single call; its result is at /v1/jobs/\(id)/result.")
        }
        let state = StreamState(next: from)
        let queue = self.queue
        return HTTPResponse(
            200, fields: [("Content-Type", "application/x-ndjson")],
            .stream {
                let first = state.next
                let segments = try await queue.items(id, from: first, maxBytes: 256 << 10)
                guard let last = segments.last else { return nil }
                state.next = last.first + last.count
                return segments.flatMap { Self.lines($0, from: first) }
            })
    }

    private static func lines(_ segment: ItemSegment, from first: Int) -> [UInt8] {
        let results = RawJSON(trusted: ([0x5b] + segment.results + [0x5d])[...]).elements()
        var lines: [UInt8] = []
        for (offset, result) in results.enumerated() where segment.first + offset >= first {
            let index = segment.first + offset
            var writer = JSONWriter(capacity: 48)
            writer.beginObject()
            writer.member("index", index)
            if let failure = segment.failures.first(where: { $0.index == index }) {
                writer.key("error")
                failure.write(to: &writer)
            } else {
                writer.member("result", result.compacted())
            }
            writer.endObject()
            lines += writer.bytes + [UInt8(ascii: "\n")]
        }
        return lines
    }

    private func list(_ request: HTTPRequest) async throws -> HTTPResponse {
        var query = JobQuery(limit: Int(try number(request, "limit", 1...1000) ?? 50))
        if let state = request.query("state") {
            guard let known = JobState(rawValue: state) else {
                throw badQuery("state", JobState.allCases.map(\.rawValue).joined(separator: ", "))
            }
            query.state = known
        }
        query.function = request.query("function")
        query.queue = request.query("queue")
        query.tag = request.query("tag")
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

    private func number(
        _ request: HTTPRequest, _ name: String, _ range: ClosedRange<Double>,
    ) throws -> Double? {
        guard let text = request.query(name) else { return nil }
        guard let number = Double(text), range.contains(number) else {
            throw badQuery(name, "a number from \(Int(range.lowerBound)) to \(Int(range.upperBound))")
        }
        return number
    }

    private func badQuery(_ name: String, _ wanted: String) -> Problem {
        Problem(
            400, "invalid-query", "The query is not valid", "\"\(name)\" must be: \(wanted).")
    }

    // MARK: Changing

    private func cancel(_ request: HTTPRequest) async throws -> HTTPResponse {
        let id = try id(request)
        guard let job = try await queue.cancel(id) else { throw Problem.noJob(id.description) }
        return accepted(job, status: job.state.isEnd ? 200 : 202)
    }

    private func retry(_ request: HTTPRequest) async throws -> HTTPResponse {
        let id = try id(request)
        guard let job = try await queue.retry(id) else { throw Problem.noJob(id.description) }
        guard job.state == .queued else {
            throw Problem(
                409, "job-not-ended", "The job has not ended",
                "Job \(id) is \(job.state.rawValue). Wait for its end or cancel it first.")
        }
        return accepted(job, status: 202)
    }

    private func delete(_ request: HTTPRequest) async throws -> HTTPResponse {
        let id = try id(request)
        guard try await queue.delete(id) else { throw Problem.noJob(id.description) }
        return HTTPResponse(204, .bytes([]))
    }

    // MARK: The server

    private func functions(_ request: HTTPRequest) async throws -> HTTPResponse {
        var writer = JSONWriter(capacity: 4096)
        writer.beginObject()
        writer.key("functions")
        writer.beginArray()
        for function in queue.catalogue.functions { JobDocument.write(function, to: &writer) }
        writer.endArray()
        writer.key("broken")
        writer.beginArray()
        for broken in queue.catalogue.broken {
            writer.beginObject()
            writer.member("file", broken.file)
            writer.member("error", broken.error)
            if let traceback = broken.traceback { writer.member("traceback", traceback) }
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        return .json(200, writer.bytes)
    }

    private func function(_ request: HTTPRequest) async throws -> HTTPResponse {
        let name = request.parameters["name"] ?? ""
        guard let function = queue.catalogue.function(named: name) else {
            throw Problem(
                404, "no-such-function", "No such function",
                "There is no function \"\(name)\". GET /v1/functions lists them.")
        }
        var writer = JSONWriter(capacity: 512)
        JobDocument.write(function, to: &writer)
        return .json(200, writer.bytes)
    }

    private func pools(_ request: HTTPRequest) async throws -> HTTPResponse {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("pools")
        writer.beginArray()
        for status in await queue.poolStatus() {
            writer.beginObject()
            writer.member("name", status.kind.rawValue)
            writer.member("slots", status.slots)
            writer.member("running", status.running)
            writer.member("workers", status.workers)
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        return .json(200, writer.bytes)
    }

    private func queues(_ request: HTTPRequest) async throws -> HTTPResponse {
        var byQueue: [(name: String, counts: [QueueCount])] = []
        for count in try await queue.counts() {
            if byQueue.last?.name != count.queue { byQueue.append((count.queue, [])) }
            byQueue[byQueue.count - 1].counts.append(count)
        }
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("queues")
        writer.beginArray()
        for (name, counts) in byQueue {
            writer.beginObject()
            writer.member("name", name)
            for count in counts { writer.member(count.state.rawValue, count.count) }
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        return .json(200, writer.bytes)
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
