import Jobs
import Tracing

/// Makes spans of jobs: one from a job's submission to its end, below it one of each attempt.
///
/// A span's id is computed of the job's id and the attempt's number, so that a restart of the
/// server between them breaks no trace, and nothing has to be kept.
struct JobTraces: Sendable {
    /// nil when nobody wants spans.
    let tracer: Tracer?

    /// What a job's function is told of the trace it runs in: the attempt's own place, if there
    /// will be a span of it, else what the client sent.
    func traceparent(of job: Job) -> String? {
        guard let context = place(of: job, attempt: job.attempt) else { return job.traceparent }
        return context.text
    }

    /// Records the attempt that has ended, and the job if it has too.
    ///
    /// - Parameters:
    ///   - job: as it is after the attempt.
    ///   - hasRun: whether there was an attempt; a job may be cancelled before.
    func ended(_ job: Job, hasRun: Bool) {
        guard let tracer, let parent = job.traceparent.flatMap(TraceContext.init) else { return }
        let end = job.endedAt ?? .now()
        // A job that was put back because the server stops has an attempt less.
        let wasPutBack = job.state == .queued && job.failure == nil
        if hasRun, !wasPutBack, let start = job.startedAt,
            let context = place(of: job, attempt: job.attempt)
        {
            var span = span(
                "attempt", .internal, job, context, parent: SpanID(of: job, attempt: 0),
                from: start, to: end)
            span.attributes.append(("martlet.attempt", .number(job.attempt)))
            tracer.record(span)
        }
        if job.state.isEnd, let context = place(of: job, attempt: 0) {
            var span = span(
                "job", .consumer, job, context, parent: parent.span, from: job.createdAt, to: end)
            span.attributes += [
                ("martlet.attempts", .number(job.attempt)),
                ("martlet.state", .text(job.state.rawValue)),
            ]
            tracer.record(span)
        }
    }

    /// Attempt 0 is the job as a whole; nil when its trace is not kept.
    private func place(of job: Job, attempt: Int) -> TraceContext? {
        guard tracer != nil, var context = job.traceparent.flatMap(TraceContext.init),
            context.isSampled
        else { return nil }
        context.span = SpanID(of: job, attempt: attempt)
        return context
    }

    private func span(
        _ what: String, _ kind: Span.Kind, _ job: Job, _ context: TraceContext, parent: SpanID,
        from start: Timestamp, to end: Timestamp,
    ) -> Span {
        let submission = job.submission
        var span = Span(
            "\(what) \(submission.function)", kind, context, parent: parent,
            start: start.microseconds * 1000, end: end.microseconds * 1000)
        span.attributes = [
            ("martlet.job", .text(job.id.description)),
            ("martlet.function", .text(submission.function)),
            ("martlet.queue", .text(submission.queue ?? "default")),
            ("martlet.pool", .text(job.pool.rawValue)),
        ]
        span.error = job.failure.map { "\($0.type): \($0.message)" }
        return span
    }
}

extension SpanID {
    fileprivate init(of job: Job, attempt: Int) { self.init(of: job.id.low, attempt) }
}
