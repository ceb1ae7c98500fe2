package import Blobs
import Functions
import HTTPWire
package import JobEngine
import Jobs
import RawJSON
import Synchronization
package import WebServer

/// The routes of `/v1`: HTTP in, jobs out.
///
/// Rules of jobs are in the engine, not here.
package struct JobRoutes: Sendable {
    let queue: JobQueue
    let blobs: BlobFolder
    let http: HTTPServerWatch

    /// The watch is for the metrics of the server that has these routes.
    package init(queue: JobQueue, blobs: BlobFolder, http: HTTPServerWatch) {
        self.queue = queue
        self.blobs = blobs
        self.http = http
    }

    package var routes: [Route] {
        [
            route("POST", "/v1/jobs", submit),
            route("POST", "/v1/jobs/batch", submitBatch),
            route("GET", "/v1/jobs", list),
            route("POST", "/v1/jobs/cancel", cancelAll),
            route("POST", "/v1/jobs/retry", retryAll),
            route("GET", "/v1/jobs/{id}", status),
            route("DELETE", "/v1/jobs/{id}", delete),
            route("GET", "/v1/jobs/{id}/submission", submission),
            route("GET", "/v1/jobs/{id}/result", result),
            route("GET", "/v1/jobs/{id}/items", items),
            route("GET", "/v1/jobs/{id}/events", jobEvents),
            route("GET", "/v1/jobs/{id}/logs", logs),
            route("POST", "/v1/jobs/{id}/cancel", cancel),
            route("POST", "/v1/jobs/{id}/retry", retry),
            route("GET", "/v1/events", events),
            route("GET", "/v1/functions", functions),
            route("GET", "/v1/functions/{name}", function),
            route("GET", "/v1/pools", pools),
            route("GET", "/v1/queues", queues),
            route("GET", "/healthz", health),
            route("GET", "/readyz", readiness),
            route("GET", "/metrics", metrics),
            route("GET", "/openapi.yaml") { _ in
                HTTPResponse(200, type: "application/yaml", EmbeddedFiles.openAPI)
            },
        ] + blobRoutes
    }

    /// A route whose errors become problems, in this one place.
    func route(
        _ method: String, _ path: String, body: Route.BodyMode = .collected,
        _ handler: @escaping @Sendable (HTTPRequest) async throws -> HTTPResponse,
    ) -> Route {
        Route(method, path, body: body) { request in
            do {
                return try await handler(request)
            } catch let problem as Problem {
                return problem.response
            } catch let error as SubmissionError {
                return Problem(error).response
            } catch let error as StoreError {
                return Problem(error).response
            } catch let error as BlobError {
                return Problem(error).response
            } catch let error as QueueFull {
                return Problem(error).response
            } catch let error as TooManyStreams {
                return Problem(error).response
            } catch {
                return Problem(500, "internal", "Something went wrong", "\(error)").response
            }
        }
    }

    // MARK: Submitting

    func submit(_ request: HTTPRequest) async throws -> HTTPResponse {
        try requireType(request, ["application/json"])
        let submission = try JobSubmission(parsing: try json(request.body[...]))
        let job = try queue.prepare(
            submission, idempotencyKey: try idempotencyKey(request),
            traceparent: request.traceparent)
        if let seconds = try preferredWait(request) {
            let ended = try await queue.submit(job, waiting: seconds)
            try checkKey(job, ended)
            return accepted(ended, status: ended.state.isEnd ? 200 : 202)
        }
        let kept = try await queue.submit([job])[0]
        try checkKey(job, kept)
        return accepted(kept, status: 202)
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
    func checkKey(_ sent: Job, _ kept: Job) throws {
        guard kept.id != sent.id, kept.submission.document != sent.submission.document else {
            return
        }
        throw Problem(
            422, "idempotency-key-reused", "The Idempotency-Key was used for another submission",
            "Job \(kept.id) has this key. Send a new key with a new submission.",
            at: JSONPointer())
    }

    func accepted(_ job: Job, status: Int) -> HTTPResponse {
        var response = HTTPResponse.json(status, JobDocument.bytes(job))
        response.fields.append(("Location", "/v1/jobs/\(job.id)"))
        return response
    }

    func submitBatch(_ request: HTTPRequest) async throws -> HTTPResponse {
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
                    "A batch is a JSON array of submissions, or one submission a line (NDJSON).",
                    at: JSONPointer())
            }
            documents = array.elements()
        }
        guard documents.count <= 10_000 else {
            throw Problem(
                413, "batch-too-large", "Too many jobs", "A batch holds 10000 at most.",
                at: JSONPointer())
        }
        let trace = request.traceparent
        var jobs: [Job] = []
        jobs.reserveCapacity(documents.count)
        for (index, document) in documents.enumerated() {
            let pointer = JSONPointer().appending(index)
            let submission = try JobSubmission(parsing: document, at: pointer)
            jobs.append(try queue.prepare(submission, traceparent: trace, at: pointer))
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

    func requireType(_ request: HTTPRequest, _ types: [String]) throws {
        let sent = request.head.field("content-type") ?? ""
        let type = sent.prefix { $0 != ";" && $0 != " " }.lowercased()
        guard types.contains(type) else {
            throw Problem(
                415, "wrong-content-type", "The Content-Type is not taken here",
                "Send Content-Type: \(types.joined(separator: " or ")), not \"\(sent)\".",
                at: JSONPointer())
        }
    }

    /// Seconds of `Prefer: wait=N` (RFC 7240, section 4.3), an hour at most; nil when not there.
    func preferredWait(_ request: HTTPRequest) throws -> Double? {
        for preference in request.head.field("prefer")?.split(separator: ",") ?? [] {
            let parts = preference.split(separator: "=").map { $0.filter { $0 != " " } }
            if parts.count == 2, parts[0].lowercased() == "wait", let seconds = Double(parts[1]),
                seconds >= 0
            {
                return min(seconds, 3600)
            }
        }
        return nil
    }

    func id(_ request: HTTPRequest) throws -> JobID {
        let text = request.parameters["id"] ?? ""
        guard let id = JobID(text) else { throw Problem.noJob(text) }
        return id
    }

    // MARK: Changing

    func cancel(_ request: HTTPRequest) async throws -> HTTPResponse {
        let id = try id(request)
        guard let job = try await queue.cancel(id) else { throw Problem.noJob(id.description) }
        return accepted(job, status: job.state.isEnd ? 200 : 202)
    }

    func retry(_ request: HTTPRequest) async throws -> HTTPResponse {
        let id = try id(request)
        let items = request.query("items")
        guard items == nil || items == "failed" || items == "all" else {
            throw badQuery("items", "failed or all")
        }
        guard let (job, isQueuedAgain) = try await queue.retry(id, onlyFailed: items == "failed")
        else {
            throw Problem.noJob(id.description)
        }
        guard isQueuedAgain else {
            throw Problem(
                409, "job-not-ended", "The job has not ended",
                "Job \(id) is \(job.state.rawValue). Wait for its end or cancel it first.")
        }
        return accepted(job, status: 202)
    }

    func delete(_ request: HTTPRequest) async throws -> HTTPResponse {
        let id = try id(request)
        guard try await queue.delete(id) else { throw Problem.noJob(id.description) }
        return HTTPResponse(204, .bytes([]))
    }
}
