import JobEngine
import Jobs
import RawJSON

/// Server-sent events (HTML, section 9.2) as bytes.
struct EventText {
    private(set) var bytes: [UInt8] = []

    mutating func append(_ event: JobEvent) {
        switch event.content {
        case .state(let state, let attempt, let failure):
            append("state", event.id) { writer in
                Self.write(event.subject, &writer)
                writer.member("state", state.rawValue)
                writer.member("attempt", attempt)
                writer.member("at", event.at)
                if let failure { Self.write(failure, &writer) }
            }
        case .progress(let progress):
            append("progress", event.id) { writer in
                writer.member("job", event.subject.job)
                writer.member("done", amount: progress.done)
                writer.member("total", amount: progress.total)
                writer.member("failed", progress.failed)
                writer.member("running", progress.running)
                if let message = progress.message { writer.member("message", message) }
                writer.member("at", event.at)
            }
        case .log(let line):
            append("log", event.id) { writer in
                writer.member("job", event.subject.job)
                writer.member("stream", line.stream.rawValue)
                if let level = line.level { writer.member("level", level) }
                writer.member("line", line.text)
                writer.member("at", event.at)
            }
        }
    }

    /// A job as it stands, as an event.
    mutating func append(standing job: Job, id: Int64) {
        append("state", id) { writer in
            Self.write(EventSubject(job), &writer)
            writer.member("state", job.state.rawValue)
            writer.member("attempt", job.attempt)
            let at = job.endedAt ?? (job.state == .queued ? nil : job.startedAt) ?? job.createdAt
            writer.member("at", at)
            if let failure = job.failure { Self.write(failure, &writer) }
        }
    }

    mutating func append(_ gap: EventGap) {
        append("gap", gap.through) { writer in
            writer.member("reason", gap.isSlowReader ? "slow_reader" : "expired")
        }
    }

    /// A comment, which shows that the stream lives.
    mutating func appendBeat() { bytes += ":\n\n".utf8 }

    private static func write(_ subject: EventSubject, _ writer: inout JSONWriter) {
        writer.member("job", subject.job)
        writer.member("function", subject.function)
        writer.member("queue", subject.queue)
        writer.member("pool", subject.pool.rawValue)
    }

    private static func write(_ failure: Failure, _ writer: inout JSONWriter) {
        writer.key("error")
        writer.beginObject()
        writer.member("reason", failure.reason.rawValue)
        writer.member("type", failure.type)
        writer.member("message", failure.message)
        writer.endObject()
    }

    private mutating func append(
        _ name: String, _ id: Int64, _ data: (inout JSONWriter) -> Void,
    ) {
        bytes += "id: \(id)\nevent: \(name)\ndata: ".utf8
        var writer = JSONWriter()
        writer.beginObject()
        data(&writer)
        writer.endObject()
        bytes += writer.bytes
        bytes += "\n\n".utf8
    }
}

extension JSONWriter {
    /// A count that need not be whole; null when it is not known.
    mutating func member(_ name: StaticString, amount: Double?) {
        key(name)
        guard let amount else { return append(number: "null") }
        let isWhole = amount.rounded() == amount && abs(amount) < 1e15
        if isWhole { value(Int(amount)) } else { value(amount) }
    }
}
