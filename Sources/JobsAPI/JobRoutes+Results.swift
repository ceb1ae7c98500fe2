import JobEngine
import Jobs
import RawJSON
import WebServer

/// The results of calls, which may be large: in pieces, and in parts for those who ask for one.
extension JobRoutes {
    /// Up to so many bytes a result is read and sent whole; a larger one piece by piece.
    static let wholeBytes = JobStoreDefaults.wholeResultBytes

    /// The answer with a job; of a large result only a piece at a time is in memory.
    func document(of job: Job, status: Int) -> HTTPResponse {
        guard job.result == nil, let endedAt = job.endedAt, let size = job.unreadResultBytes else {
            return .json(status, JobDocument.bytes(job))
        }
        let (head, tail) = JobDocument.aroundResult(of: job)
        let whole = content(of: job, endedAt: endedAt, size: size)
        return .json(status, whole.framed(head: head, tail: tail))
    }

    /// The answer with the result of a call that has succeeded; nil when it is gone.
    func callResult(of job: Job) async throws -> HTTPResponse? {
        guard let endedAt = job.endedAt,
            let size = job.result?.bytes.count ?? job.unreadResultBytes
        else { return nil }
        var response = HTTPResponse.json(200, [])
        // A retry brings another result, at another time.
        response.fields = [
            ("ETag", "\"\(String(endedAt.microseconds, radix: 36)).\(String(size, radix: 36))\""),
            ("Accept-Ranges", "bytes"),
        ]
        if let result = job.result, size <= Self.wholeBytes {
            response.body = .bytes(Array(result.bytes))
        } else if job.isResultInFile {
            let reader = queue.result(of: job.id, endedAt: endedAt, size: size, inFile: true)
            guard let file = try await reader.file() else { return nil }
            response.body = .content(HTTPContent(file))
        } else {
            response.body = .content(content(of: job, endedAt: endedAt, size: size))
        }
        return response
    }

    private func content(of job: Job, endedAt: Timestamp, size: Int) -> HTTPContent {
        let id = job.id
        let reader = queue.result(
            of: id, endedAt: endedAt, size: size, inFile: job.isResultInFile)
        // In a row the store walks through a large value to where a piece begins: the larger the
        // result, the fewer pieces.
        let pieceBytes =
            job.isResultInFile ? 128 << 10 : min(max(size / 32, Self.wholeBytes), 1 << 20)
        return HTTPContent(count: size, pieceBytes: pieceBytes) { offset, count in
            // Dropped, or run again, while it was read: the client sees an answer cut short.
            guard let piece = try await reader.read(from: offset, count) else {
                throw Problem.expired(id)
            }
            return piece
        }
    }
}
