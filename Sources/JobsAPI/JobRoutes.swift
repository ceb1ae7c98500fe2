package import Blobs
import Functions
import HTTPWire
package import JobEngine
package import Jobs
import RawJSON
import Synchronization
import Threads
package import Tracing
package import WebServer

/// The routes of `/v1`: HTTP in, jobs out.
///
/// Rules of jobs are in the engine, not here.
package struct JobRoutes: Sendable {
    let queue: JobQueue
    let blobs: BlobFolder
    let http: HTTPServerWatch
    let tracer: Tracer?
    /// Where large bodies are read.
    private let reader = ThreadExecutor(name: "submissions", threads: 1)

    /// The watch is for the metrics of the server that has these routes, as is the tracer.
    package init(
        queue: JobQueue, blobs: BlobFolder, http: HTTPServerWatch, tracer: Tracer? = nil,
    ) {
        self.queue = queue
        self.blobs = blobs
        self.http = http
        self.tracer = tracer
    }

    /// Ends the thread of its own, when it has done what it was given.
    package func stop() { reader.stop() }

    package var routes: [Route] {
        [
            route(.post, "/v1/jobs", body: Self.submissionBody, submit)
                .taking("application/json", "application/x-ndjson"),
            route(.post, "/v1/jobs/batch", body: .collected, submitBatch)
                .taking("application/json", "application/x-ndjson"),
            route(.get, "/v1/jobs", list),
            route(.post, "/v1/jobs/cancel", cancelAll),
            route(.post, "/v1/jobs/retry", retryAll),
            route(.get, "/v1/jobs/{id}", status),
            route(.delete, "/v1/jobs/{id}", delete),
            route(.get, "/v1/jobs/{id}/submission", submission),
            route(.get, "/v1/jobs/{id}/result", result),
            route(.get, "/v1/jobs/{id}/items", items),
            route(.get, "/v1/jobs/{id}/events", jobEvents),
            route(.get, "/v1/jobs/{id}/logs", logs),
            route(.post, "/v1/jobs/{id}/cancel", cancel),
            route(.post, "/v1/jobs/{id}/retry", retry),
            route(.get, "/v1/events", events),
            route(.get, "/v1/functions", functions),
            route(.get, "/v1/functions/{name}", function),
            route(.get, "/v1/pools", pools),
            route(.get, "/v1/queues", queues),
            route(.get, "/healthz", health).quickly(healthAtOnce).untraced,
            route(.get, "/readyz", readiness).untraced,
            route(.get, "/metrics", metrics).untraced,
            route(.get, "/openapi.yaml") { _ in
                HTTPResponse(200, type: "application/yaml", EmbeddedFiles.openAPI)
            },
        ] + blobRoutes
    }

    /// A route whose errors become problems, in this one place.
    func route(
        _ method: HTTPMethod, _ path: String, body: Route.BodyMode = .unread,
        _ handler: @escaping @Sendable (HTTPRequest) async throws -> HTTPResponse,
    ) -> Route {
        Route(method, path, body: body) { request in
            do {
                return try await handler(request)
            } catch {
                return Self.answer(to: error)
            }
        }
    }

    /// Apart from the route: a waiting request would hold room for every error of the list.
    private static func answer(to error: any Error) -> HTTPResponse {
        switch error {
        case let problem as Problem: problem.response
        case let error as SubmissionError: Problem(error).response
        case let error as StoreError: Problem(error).response
        case let error as BlobError: Problem(error).response
        case let error as QueueFull: Problem(error).response
        case let error as KeyInUse: Problem(error).response
        case let error as KeyReused: Problem(error).response
        case let error as TooManyStreams: Problem(error).response
        default: Problem(500, "internal", "Something went wrong", "\(error)").response
        }
    }

    // MARK: Submitting

    func submit(_ request: HTTPRequest) async throws -> HTTPResponse {
        try request.require(.untagged)
        if let items = request.bodyStream { return try await upload(items, request) }
        let job = try await apart(from: request) { try self.job(submittedBy: request) }
        if let seconds = try preferredWait(request) {
            let kept = try await queue.submit(consume job, waiting: seconds, check: checkKey)
            return accepted(kept, status: kept.job.state.isEnd ? 200 : 202)
        }
        let kept = try await queue.submit(job)
        try await checkKey(of: kept, sent: job)
        return accepted(kept, status: kept.likeness == .cache ? 200 : 202)
    }

    /// Reads what a request has brought; elsewhere, where it is so much that the loop's other clients
    /// would be kept waiting for a millisecond and more.
    private func apart<Value: Sendable>(
        from request: HTTPRequest, _ read: @escaping @Sendable () throws -> Value,
    ) async throws -> Value {
        guard request.body.count > Self.mostOnLoop else { return try read() }
        return try await withTaskExecutorPreference(reader) { try await Self.elsewhere(read) }
    }

    private static let mostOnLoop = 256 << 10

    /// On the thread that the caller's task prefers.
    @concurrent private static func elsewhere<Value: Sendable>(
        _ read: @Sendable () throws -> Value,
    ) async throws -> Value {
        try read()
    }

    /// The job that a request submits; nothing keeps it yet.
    ///
    /// - Throws: a `Problem` or a `SubmissionError`.
    package func job(submittedBy request: HTTPRequest) throws -> Job {
        try job(JobSubmission(parsing: try json(request.takeBody()[...])), of: request)
    }

    /// The job of a submission that a request has brought.
    func job(_ submission: consuming JobSubmission, of request: HTTPRequest) throws -> Job {
        var job = try queue.prepare(
            submission, idempotencyKey: try idempotencyKey(request),
            traceparent: request.traceparent)
        job.isNested = request.isNested
        return job
    }

    func idempotencyKey(_ request: HTTPRequest) throws -> String? {
        guard let key = request.head.field("idempotency-key") else { return nil }
        guard (1...255).contains(key.utf8.count) else {
            throw Problem(
                422, "invalid-idempotency-key", "The Idempotency-Key is not valid",
                "An Idempotency-Key has 1 to 255 bytes.", at: JSONPointer())
        }
        return key
    }

    /// The same key with another body is a mistake of the client's.
    func checkKey(of kept: KeptJob, sent: Job) async throws {
        if kept.likeness == .idempotencyKey, try await !queue.isSame(kept.job.id, as: sent) {
            throw Problem(
                422, "idempotency-key-reused",
                "The Idempotency-Key was used for another submission",
                "Job \(kept.job.id) has this key. Send a new key with a new submission.",
                at: JSONPointer())
        }
    }

    /// The answer to a submission.
    func accepted(_ kept: KeptJob, status: Int) -> HTTPResponse {
        var response = accepted(kept.job, status: status)
        if let likeness = kept.likeness {
            response.fields.append(("Martlet-Existing", likeness.rawValue))
        }
        return response
    }

    package func accepted(_ job: Job, status: Int) -> HTTPResponse {
        var response = document(of: job, status: status)
        response.fields.append(("Location", job.id.text(after: "/v1/jobs/")))
        return response
    }

    func submitBatch(_ request: HTTPRequest) async throws -> HTTPResponse {
        try request.require(.untagged)
        let key = try batchKey(request)
        let jobs = try await apart(from: request) { try self.jobs(submittedBy: request) }
        let kept = try await queue.submit(jobs, batch: key)
        var writer = JSONWriter(capacity: 80 * jobs.count + 32)
        writer.beginObject()
        writer.key("jobs")
        writer.beginArray()
        for (id, state) in kept {
            writer.beginObject()
            writer.member("id", id)
            writer.member("state", state.rawValue)
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        return .json(202, writer.bytes)
    }

    private static let mostOfBatch = 10_000

    /// The jobs of a batch, of which no more is read than may be.
    private func jobs(submittedBy request: HTTPRequest) throws -> [Job] {
        let trace = request.traceparent
        var jobs: [Job] = []
        func add(_ document: RawJSON, at pointer: JSONPointer) throws {
            let submission = try JobSubmission(parsing: document, at: pointer)
            var job = try queue.prepare(submission, traceparent: trace, at: pointer)
            job.isNested = request.isNested
            jobs.append(job)
        }
        func nextPointer() throws -> JSONPointer {
            guard jobs.count < Self.mostOfBatch else {
                throw Problem(
                    413, "batch-too-large", "Too many jobs",
                    "A batch holds \(Self.mostOfBatch) at most.", at: JSONPointer())
            }
            return JSONPointer().appending(jobs.count)
        }
        let body = request.takeBody()[...]
        if Self.isLines(request.head) {
            var rest = body
            while !rest.isEmpty {
                let line = rest.prefix { $0 != UInt8(ascii: "\n") }
                rest = rest[line.endIndex...].dropFirst()
                guard !line.isEmpty, line != [13] else { continue }
                let pointer = try nextPointer()
                try add(try json(line, at: pointer), at: pointer)
            }
        } else {
            let array = try json(body)
            guard array.kind == .array else {
                throw Problem(
                    422, "invalid-member", "The submission is not valid",
                    "A batch is a JSON array of submissions, or one submission a line (NDJSON).",
                    at: JSONPointer())
            }
            for document in array.rawElements { try add(document, at: nextPointer()) }
        }
        return jobs
    }

    /// The key of a batch, with a fingerprint of its body.
    private func batchKey(_ request: HTTPRequest) throws -> BatchKey? {
        guard let key = try idempotencyKey(request) else { return nil }
        var fingerprint = Fingerprint()
        fingerprint.add(request.body)
        return BatchKey(key: key, fingerprint: fingerprint.bytes())
    }

    func json(
        _ bytes: ArraySlice<UInt8>, at pointer: JSONPointer = JSONPointer(),
    ) throws -> RawJSON {
        do throws(RawJSONError) {
            return try RawJSON(validating: bytes)
        } catch {
            throw Problem(
                400, "invalid-json", "The body is not JSON",
                "The body is not valid JSON: \(error).", at: pointer)
        }
    }

    /// Seconds of `Prefer: wait=N` (RFC 7240, section 4.3), an hour at most; nil when not there.
    func preferredWait(_ request: HTTPRequest) throws -> Double? {
        for (name, value) in preferences(of: request) where name == "wait" {
            if let value, let seconds = Double(value), value.utf8.allSatisfy(\.isDecimal) {
                return min(seconds, 3600)
            }
        }
        return nil
    }

    /// Whether a client prefers to be told of its job before the answer, which comes with the
    /// upload's end: `Prefer: hints`.
    func prefersHints(_ request: HTTPRequest) -> Bool {
        preferences(of: request).contains { $0.name == "hints" }
    }

    /// The preferences of a request (RFC 7240, section 2), names in lower case; without their parameters,
    /// since those that are known here have none.
    private func preferences(of request: HTTPRequest) -> [(name: String, value: String?)] {
        (request.head.field("prefer") ?? "").listMembers().compactMap { preference in
            guard let first = preference.listMembers(by: ";").first else { return nil }
            let (name, value) = first.parts(at: "=")
            return (name.withoutBlanks.lowercased(), value?.withoutBlanks.withoutQuotes)
        }
    }

    func id(_ request: HTTPRequest) throws -> JobID {
        let text = request.parameters["id"] ?? ""
        guard let id = JobID(text) else { throw Problem.noJob(text) }
        return id
    }

    // MARK: Changing

    func cancel(_ request: HTTPRequest) async throws -> HTTPResponse {
        let id = try id(request)
        let job = try changed(id, try await queue.cancel(id, if: condition(of: request)))
        return accepted(job, status: job.state.isEnd ? 200 : 202)
    }

    func retry(_ request: HTTPRequest) async throws -> HTTPResponse {
        let id = try id(request)
        let items = request.query("items")
        guard items == nil || items == "failed" || items == "all" else {
            throw badQuery("items", "failed or all")
        }
        if items == "failed", let job = try await queue.job(id), !job.isMap {
            throw Problem.notAMap(id)
        }
        let outcome = try await queue.retry(
            id, onlyFailed: items == "failed", if: condition(of: request))
        return accepted(try changed(id, outcome), status: 202)
    }

    func delete(_ request: HTTPRequest) async throws -> HTTPResponse {
        let id = try id(request)
        _ = try changed(id, try await queue.delete(id, if: condition(of: request)))
        return HTTPResponse(204, .bytes([]))
    }

    /// What the request says of the job that it changes: whoever has read `GET /v1/jobs/{id}` makes a
    /// change depend on its `ETag`.
    private func condition(of request: HTTPRequest) -> JobCondition? {
        guard let conditions = Preconditions(request.head) else { return nil }
        return { job in
            let document = document(of: job, status: 200)
            let tag = JobDocument.entityTag(of: job, as: document.body)
            return conditions.failure(of: .tagged(tag)) == nil
        }
    }

    /// The job that is changed.
    ///
    /// - Throws: a `Problem` when there is none, or it is left alone.
    private func changed(_ id: JobID, _ outcome: ChangeOutcome?) throws -> Job {
        switch outcome {
        case .made(let job): return job
        case .notEnded(let job): throw Problem.notEnded(job)
        case .conditionFailed:
            throw Problem(
                conditionFailed: "The job is not as it was read: GET /v1/jobs/\(id) has its ETag.")
        case nil: throw Problem.noJob(id.description)
        }
    }
}

extension HTTPRequest {
    /// Whether a job sends it, which may wait for those that it submits.
    var isNested: Bool { head.field("martlet-nested") != nil }
}

extension UInt8 {
    /// A digit or the decimal point.
    fileprivate var isDecimal: Bool { (0x30...0x39).contains(self) || self == UInt8(ascii: ".") }
}
