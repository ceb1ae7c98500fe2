package import Blobs
import HTTPWire
package import JobEngine
package import Jobs
package import RawJSON
package import WebServer

/// An error as RFC 9457 says it: `application/problem+json`.
package struct Problem: Error, Sendable {
    package let status: Int
    /// Stable; the last part of the `type`.
    package let code: String
    package let title: String
    /// What to do about it.
    package let detail: String
    package var pointer: JSONPointer?
    package var failure: Failure?
    package var retryAfter: Int?

    /// A problem; the pointer names the part of the body that is wrong, if one is.
    package init(
        _ status: Int, _ code: String, _ title: String, _ detail: String,
        at pointer: JSONPointer? = nil,
    ) {
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
        self.pointer = pointer
    }

    package init(_ error: SubmissionError) {
        if error.kind == .functionsNotRead {
            self.init(functionsNotRead: error.detail)
        } else {
            self.init(422, error.kind.rawValue, "The submission is not valid", error.detail)
        }
        pointer = error.pointer
    }

    /// Of a function that may be known in a moment.
    init(functionsNotRead detail: String) {
        self.init(
            503, SubmissionError.Kind.functionsNotRead.rawValue, "Functions are being read", detail)
        retryAfter = 1
    }

    package init(_ error: StoreError) {
        switch error {
        case .full: self.init(507, "store-full", "No room to keep the job", error.description)
        case .locked, .failed:
            self.init(500, "store-failed", "The store does not work", error.description)
        }
    }

    package init(_ error: BlobError) {
        switch error {
        case .mismatch:
            self.init(
                422, "blob-mismatch", "The bytes are not those of the name",
                "\(error): send them under that name, or send what you meant to.")
        case .full: self.init(507, "store-full", "No room to keep the blob", error.description)
        case .failed:
            self.init(500, "store-failed", "The blobs cannot be reached", error.description)
        }
    }

    package init(_ error: QueueFull) {
        self.init(
            503, "queue-full", "Too many jobs are waiting",
            error.queue.map {
                "\(error.limit) jobs of the queue \"\($0)\" wait or run, the bound of"
                    + " --max-queued-per-queue. Try again later."
            } ?? "\(error.limit) jobs wait or run, the bound of --max-queued. Try again later.")
        retryAfter = 5
    }

    package init(_ error: TooManyStreams) {
        self.init(
            503, "too-many-streams", "Too many streams of events",
            "\(error.limit) are open, the bound of --max-event-streams. Try again later.")
        retryAfter = 5
    }

    package init(_ error: KeyInUse) {
        self.init(
            409, "idempotency-key-in-use", "The Idempotency-Key is in use",
            "A submission with this key is being stored. Repeat yours in a moment.")
        retryAfter = 1
    }

    package init(_ error: KeyReused) {
        self.init(
            422, "idempotency-key-reused", "The Idempotency-Key was used for another submission",
            "Another batch or job has this key. Send a new key with a new submission.",
            at: JSONPointer())
    }

    /// Of a change that its `If-Match` or `If-None-Match` forbids.
    init(conditionFailed detail: String) {
        self.init(412, "http-412", HTTPStatus.reason(412), detail)
    }

    package static func noJob(_ id: String) -> Problem {
        Problem(404, "no-such-job", "No such job", "There is no job \(id); it may have expired.")
    }

    /// Of a job that is to run again.
    static func notEnded(_ job: Job) -> Problem {
        Problem(
            409, "job-not-ended", "The job has not ended",
            "Job \(job.id) is \(job.state.rawValue). Wait for its end or cancel it first.")
    }

    static func notAMap(_ id: JobID) -> Problem {
        Problem(
            409, "not-a-map", "The job has no items",
            "Job \(id) is a single call; its result is at /v1/jobs/\(id)/result.")
    }

    /// Of a job whose result has had its time.
    static func expired(_ id: JobID) -> Problem {
        Problem(
            410, "result-expired", "The result is gone",
            "The result of job \(id) was kept as long as its \"keep\" said. Submit it again.")
    }

    package var response: HTTPResponse {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("type", "urn:martlet:problem:\(code)")
        writer.member("title", title)
        writer.member("status", status)
        writer.member("detail", detail)
        if let pointer { writer.member("pointer", pointer.description) }
        if let failure {
            writer.key("error")
            failure.write(to: &writer)
        }
        writer.endObject()
        var response = HTTPResponse(status, type: "application/problem+json", writer.bytes)
        if let retryAfter { response.fields.append(("Retry-After", String(retryAfter))) }
        return response
    }
}
