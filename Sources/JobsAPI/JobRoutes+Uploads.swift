import HTTPWire
import JobEngine
import Jobs
import RawJSON
import WebServer

/// A map whose items come a line each, and run while more of them come.
///
///     {"function":"square","tags":["night"]}     the job without its map
///     1                                          the items
///     2
///
/// What has come in one piece is made durable before the next one is read, so that the client is
/// held back when the store is behind, and the server holds no more than that.
extension JobRoutes {
    /// Bytes of an upload; what has come is on the disk, in the store.
    private static let uploadBytes = 64 << 30

    private static let lines = "application/x-ndjson"

    static let submissionBody = Route.BodyMode.live(upTo: uploadBytes, where: isLines)

    /// Whether a body is NDJSON.
    static func isLines(_ head: RequestHead) -> Bool {
        // By its length first: the head of every job comes this way.
        guard let type = head.field("content-type"), type.utf8.count >= lines.utf8.count else {
            return false
        }
        return type.lowercased().hasPrefix(lines)
    }

    func upload(_ body: HTTPBodyStream, _ request: HTTPRequest) async throws -> HTTPResponse {
        var lines = BodyLines(body)
        guard let first = try await lines.next(), let head = first.first else {
            throw Problem(
                400, "invalid-json", "The body is not JSON",
                "The first line is the job, without its map; the items follow, one a line.",
                at: JSONPointer())
        }
        let job = try job(JobSubmission(uploadHead: try json(head.bytes)), of: request)
        let wait = try preferredWait(request)
        let kept = try await queue.openUpload(job)
        guard kept.likeness == nil else {
            // Its items are there, or were lost with the upload that it came by.
            try await checkKey(of: kept, sent: job)
            return accepted(kept, status: 202)
        }
        if prefersHints(request) { await body.hint([("Location", "/v1/jobs/\(job.id)")]) }
        do {
            try await take(first.dropFirst(), then: &lines, for: job.id)
            try await queue.endUpload(job.id)
        } catch {
            try await queue.cutUpload(job.id, because: reason(error))
            throw error
        }
        let ended = try await queue.wait(job.id, seconds: wait ?? 0) ?? job
        return accepted(ended, status: ended.state.isEnd && wait != nil ? 200 : 202)
    }

    /// Reads items to the end, or until the job wants no more.
    private func take(
        _ first: ArraySlice<BodyLines.Line>, then lines: inout BodyLines, for id: JobID,
    ) async throws {
        var piece = ItemPiece(first: 0, count: 0, items: [])
        var fresh = first
        while true {
            for line in fresh {
                let item = try item(line, at: piece.range.upperBound)
                if piece.count > 0 { piece.items.append(UInt8(ascii: ",")) }
                piece.items += item.bytes
                piece.count += 1
                if piece.items.count >= ItemPiece.sizeBytes {
                    guard try await keep(&piece, id) else { return }
                }
            }
            guard try await keep(&piece, id), let more = try await lines.next() else { return }
            fresh = more[...]
        }
    }

    /// Makes the piece durable and begins the next one; false when no more are wanted.
    private func keep(_ piece: inout ItemPiece, _ id: JobID) async throws -> Bool {
        guard piece.count > 0 else { return true }
        let isWanted = try await queue.append(piece, to: id)
        piece = ItemPiece(first: piece.range.upperBound, count: 0, items: [])
        return isWanted
    }

    private func item(_ line: BodyLines.Line, at index: Int) throws -> RawJSON {
        do throws(RawJSONError) {
            return try RawJSON(validating: line.bytes)
        } catch {
            throw Problem(
                400, "invalid-json", "The body is not JSON",
                "Line \(line.number) is not valid JSON: \(error). The job was cancelled.",
                at: JSONPointer().appending("map").appending(index))
        }
    }

    /// Why an upload has broken off, for the job.
    private func reason(_ error: any Error) -> String {
        switch error {
        case let problem as Problem: problem.detail
        case let error as StoreError: "\(error)"
        default: "The upload broke off before all items had come."
        }
    }
}
