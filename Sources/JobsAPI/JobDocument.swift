import Jobs
import RawJSON

/// A job as the API shows it.
enum JobDocument {
    /// Appends the job; the result of a call only if wanted.
    static func write(_ job: Job, to writer: inout JSONWriter, withResult: Bool = true) {
        writeHead(job, to: &writer)
        if withResult, let result = job.result { writer.member("result", result) }
        writeTail(job, to: &writer, withAttempts: withResult)
    }

    private static func writeHead(_ job: Job, to writer: inout JSONWriter) {
        writer.beginObject()
        writer.member("id", job.id)
        writer.member("function", job.functionName)
        writer.member("state", job.state.rawValue)
        writer.member("pool", job.pool.rawValue)
        writer.member("queue", job.queue)
        writer.member("priority", job.priority)
        writer.member("cpus", job.cpus)
        writer.member("tags", job.tags)
        writer.member("attempt", job.attempt)
        writer.member("created_at", job.createdAt)
        time("not_before", job.notBefore, &writer)
        time("started_at", job.startedAt, &writer)
        time("ended_at", job.endedAt, &writer)
        time("expires_at", job.expiresAt, &writer)
        if let trace = job.traceparent { writer.member("traceparent", trace) }
        if let count = job.itemCount {
            writer.member("items", count)
            if job.isUploading { writer.member("uploading", true) }
            writer.key("progress")
            writer.beginObject()
            writer.member("total", count)
            writer.member("done", job.itemsDone)
            writer.member("failed", job.itemsFailed)
            writer.member("running", job.itemsRunning)
            writer.endObject()
        }
        if let progress = job.progress {
            writer.key("progress")
            writer.beginObject()
            writer.member("total", amount: progress.total)
            writer.member("done", amount: progress.done)
            writer.member("failed", progress.failed)
            writer.member("running", progress.running)
            if let message = progress.message { writer.member("message", message) }
            writer.endObject()
        }
    }

    private static func writeTail(
        _ job: Job, to writer: inout JSONWriter, withAttempts: Bool,
    ) {
        if job.hasFailure, let failure = job.failure {
            writer.key("error")
            failure.write(to: &writer)
        }
        if withAttempts, !job.failedAttempts.isEmpty {
            writer.key("failed_attempts")
            writer.beginArray()
            for attempt in job.failedAttempts { attempt.write(to: &writer) }
            writer.endArray()
        }
        writer.endObject()
    }

    static func bytes(_ job: Job) -> [UInt8] {
        var writer = JSONWriter(capacity: 512)
        write(job, to: &writer)
        return writer.line()
    }

    /// What stands before and behind the result of a job that has one.
    static func aroundResult(of job: Job) -> (head: [UInt8], tail: [UInt8]) {
        var writer = JSONWriter(capacity: 512)
        writeHead(job, to: &writer)
        writer.key("result")
        let end = writer.count
        writer.append(number: "0")  // in the place of the result, for the comma behind it
        writeTail(job, to: &writer, withAttempts: true)
        let whole = writer.line()
        return (Array(whole[..<end]), Array(whole[(end + 1)...]))
    }

    private static func time(_ name: StaticString, _ time: Timestamp?, _ writer: inout JSONWriter) {
        if let time { writer.member(name, time) }
    }

    static func write(_ function: Function, to writer: inout JSONWriter) {
        writer.beginObject()
        writer.member("name", function.name)
        writer.member("runtime", function.runtime.rawValue)
        writer.member("pool", function.pool.rawValue)
        writer.member("pools", function.pools.map(\.rawValue))
        writer.member("doc", function.documentation)
        writer.member("parameters", function.parameters)
        if let timeout = function.timeout { writer.member("timeout", timeout) }
        function.limits.writeMembers(to: &writer)
        if function.isUnique { writer.member("unique", true) }
        if let cache = function.cache { writer.member("cache", cache) }
        if let cpus = function.cpus { writer.member("cpus", cpus) }
        if let source = function.source { writer.member("source", source) }
        writer.endObject()
    }
}
