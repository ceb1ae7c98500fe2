import RawJSON

/// A job as the server describes it.
struct JobView: Sendable {
    let json: RawJSON
    private let members: [String: RawJSON]

    init(_ json: RawJSON) {
        self.json = json
        members = Dictionary(
            json.members().map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first })
    }

    func text(_ name: String) -> String { members[name]?.string ?? "" }

    /// A time without its fraction: `2026-01-31T09:30:00Z`.
    func second(_ name: String) -> String {
        let time = text(name)
        return time.contains(".") ? time.prefix { $0 != "." } + "Z" : time
    }

    var id: String { text("id") }
    var state: String { text("state") }
    var isOver: Bool { ["succeeded", "failed", "cancelled"].contains(state) }
    var result: RawJSON? { members["result"] }
    var attempt: Int { members["attempt"]?.int ?? 0 }

    /// Items of a map; nil for a single call.
    var progress: (total: Int, done: Int, failed: Int)? {
        guard let progress = members["progress"] else { return nil }
        func count(_ name: String) -> Int { progress.member(name)?.int ?? 0 }
        return (count("total"), count("done"), count("failed"))
    }

    /// What went wrong, with the traceback if there is one; empty if nothing did.
    var error: String {
        guard let error = members["error"] else { return "" }
        return Self.describe(error)
    }

    static func describe(_ error: RawJSON) -> String {
        let message = error.member("message")?.string ?? ""
        let type = error.member("type")?.string ?? ""
        var text = type.isEmpty ? message : "\(type): \(message)"
        if let index = error.member("index")?.int { text = "item \(index): \(text)" }
        if let traceback = error.member("traceback")?.string { text += "\n\(traceback)" }
        while text.hasSuffix("\n") { text.removeLast() }
        return text
    }

    /// What a command that waited for the job ends with; nil when the job has succeeded whole.
    var failure: ClientFailure? {
        switch state {
        case "succeeded":
            guard let failed = progress?.failed, failed > 0 else { return nil }
            return ClientFailure(
                .failed, "\(failed) \(failed == 1 ? "item" : "items") of job \(id) failed")
        case "failed": return ClientFailure(.failed, "job \(id) failed: \(error)")
        case "cancelled": return ClientFailure(.cancelled, "job \(id) was cancelled")
        default: return ClientFailure(.unfinished, "job \(id) is still \(state)")
        }
    }
}
