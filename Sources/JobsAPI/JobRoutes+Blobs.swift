import Blobs
import HTTPWire
import Jobs
import WebServer

/// Large bytes by their SHA-256, sent once and named by any number of jobs.
extension JobRoutes {
    var blobRoutes: [Route] {
        [
            route(.put, "/v1/blobs/{sha256}", body: .streamed(upTo: blobs.mostBytes), keepBlob),
            route(.get, "/v1/blobs/{sha256}", blob),
            route(.delete, "/v1/blobs/{sha256}", deleteBlob),
        ]
    }

    func keepBlob(_ request: HTTPRequest) async throws -> HTTPResponse {
        guard let digest = BlobDigest(request.parameters["sha256"] ?? "") else {
            throw Problem(
                422, "invalid-digest", "This is not the name of a blob",
                "A blob is named by its SHA-256 in 64 lower-case hexadecimal digits.")
        }
        let place = [(name: "Location", value: "/v1/blobs/\(digest)")]
        let isThere = try await blobs.bytes(of: digest) != nil
        // Who waits for `100 Continue` need not send it; others have begun to.
        if isThere, request.head.expectation != .continue {
            while try await request.bodyStream?.next() != nil {}
        }
        try request.require(isThere ? .tagged(entityTag(of: digest)) : .absent)
        if isThere { return HTTPResponse(204, fields: place, .bytes([])) }
        let upload = try await blobs.upload(digest)
        while let piece = try await request.bodyStream?.next() { try await upload.add(piece) }
        try await upload.finish()
        return HTTPResponse(201, fields: place, .bytes([]))
    }

    func blob(_ request: HTTPRequest) async throws -> HTTPResponse {
        let digest = try digest(request)
        guard let file = try await blobs.content(of: digest) else { throw noBlob(request) }
        return HTTPResponse(
            200,
            fields: [
                ("Content-Type", "application/octet-stream"), ("ETag", entityTag(of: digest)),
                ("Cache-Control", "private, max-age=31536000, immutable"),
                ("Accept-Ranges", "bytes"),
            ],
            .content(HTTPContent(file)))
    }

    func deleteBlob(_ request: HTTPRequest) async throws -> HTTPResponse {
        let digest = try digest(request)
        try await request.require {
            guard try await blobs.bytes(of: digest) != nil else { throw noBlob(request) }
            return .tagged(entityTag(of: digest))
        }
        guard try await blobs.remove(digest) else { throw noBlob(request) }
        return HTTPResponse(204, .bytes([]))
    }

    private func entityTag(of digest: BlobDigest) -> String { "\"\(digest)\"" }

    private func digest(_ request: HTTPRequest) throws -> BlobDigest {
        guard let digest = BlobDigest(request.parameters["sha256"] ?? "") else {
            throw noBlob(request)
        }
        return digest
    }

    private func noBlob(_ request: HTTPRequest) -> Problem {
        Problem(
            404, "no-such-blob", "No such blob",
            "There is no blob \(request.parameters["sha256"] ?? ""); it may have been removed to make"
                + " room. Send it again.")
    }
}
