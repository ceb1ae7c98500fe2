import HTTPWire
import JobEngine
import Jobs
import RawJSON
import WebServer

/// The same for all jobs that a filter names.
extension JobRoutes {
    func cancelAll(_ request: HTTPRequest) async throws -> HTTPResponse {
        let filter = try JobFilter(request, states: [.queued, .running, .cancelling])
        try request.require(.untagged)
        return try await answer { try await queue.cancelAll(filter.query, in: filter.states) }
    }

    func retryAll(_ request: HTTPRequest) async throws -> HTTPResponse {
        let filter = try JobFilter(request, states: [.failed, .cancelled], takesReason: true)
        try request.require(.untagged)
        return try await answer {
            try await queue.retryAll(filter.query, in: filter.states, reason: filter.reason)
        }
    }

    private func answer(_ change: () async throws -> Int) async throws -> HTTPResponse {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("jobs", try await change())
        writer.endObject()
        return .json(200, writer.bytes)
    }
}

/// Which jobs a change in bulk is for: at least one member must be there, so that nobody cancels
/// all jobs by forgetting the filter.
private struct JobFilter {
    var query = JobQuery()
    var states: [JobState]
    var reason: Failure.Reason?

    /// - Parameters:
    ///   - request: with the filter as its query.
    ///   - states: that a job may have.
    ///   - takesReason: whether they are those of jobs that have one.
    /// - Throws: a `Problem` of status 400.
    init(_ request: HTTPRequest, states: [JobState], takesReason: Bool = false) throws {
        self.states = states
        let known = ["function", "queue", "tag", "state"] + (takesReason ? ["reason"] : [])
        try request.requireQuery(of: known)
        for (name, value) in request.queryItems {
            switch name {
            case "function": query.function = value
            case "queue": query.queue = value
            case "tag": query.tag = value
            case "state":
                guard let state = JobState(rawValue: value), states.contains(state) else {
                    throw Self.bad(
                        "\"state\" must be " + states.map(\.rawValue).joined(separator: " or "))
                }
                self.states = [state]
            case "reason":
                guard let reason = Failure.Reason(rawValue: value) else {
                    throw Self.bad(
                        "\"reason\" must be one of "
                            + Failure.Reason.allCases.map(\.rawValue).joined(separator: ", "))
                }
                self.reason = reason
            default: break  // there is no other
            }
        }
        guard !request.queryItems.isEmpty else {
            throw Self.bad("Say which jobs: \(known.joined(separator: ", "))")
        }
    }

    private static func bad(_ detail: String) -> Problem {
        Problem(400, "invalid-query", "The query is not valid", detail + ".")
    }
}
