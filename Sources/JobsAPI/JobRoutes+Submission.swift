import JobEngine
import Jobs
import RawJSON
import WebServer

/// What was submitted, as it was sent; in pieces where it is large.
extension JobRoutes {
    func submission(_ request: HTTPRequest) async throws -> HTTPResponse {
        let id = try id(request)
        guard let job = try await queue.summary(of: id, waiting: 0, resultUpTo: 0) else {
            throw Problem.noJob(id.description)
        }
        return try await job.isMap ? mapSubmission(id) : callSubmission(id)
    }

    private func callSubmission(_ id: JobID) async throws -> HTTPResponse {
        let first = try await queue.submission(of: id, from: 0, maxBytes: Self.wholeBytes)
        guard let first else { throw Problem.noJob(id.description) }
        if first.bytes.count == first.total { return .json(200, first.bytes) }
        let queue = self.queue
        let content = HTTPContent(count: first.total, pieceBytes: Self.wholeBytes) {
            offset, count in
            if offset == 0 { return first.bytes.prefix(count) }
            // Forgotten while it was read: the client sees an answer cut short.
            let piece = try await queue.submission(of: id, from: offset, maxBytes: count)
            guard let piece else { throw Problem.noJob(id.description) }
            return piece.bytes[...]
        }
        return .json(200, content)
    }

    private func mapSubmission(_ id: JobID) async throws -> HTTPResponse {
        guard let job = try await queue.job(id) else { throw Problem.noJob(id.description) }
        guard let (head, tail) = job.submission.documentAroundItems else {
            return .json(200, Array(job.submission.document.bytes))
        }
        let items = PieceStream(job: id, head: Array(head), tail: Array(tail), queue: queue)
        return HTTPResponse(
            200, fields: [("Content-Type", "application/json")],
            .stream { try await items.next() })
    }
}
