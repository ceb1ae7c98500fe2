/// Takes what calls say while they run.
///
/// May be called from any thread.
package protocol CallReporter: AnyObject, Sendable {
    func log(_ lines: [LogLine], of job: JobID)
    func progress(_ progress: JobProgress, of job: JobID)
}

/// Whose call it is, and who wants to hear of it.
package struct CallSource: Sendable {
    package let job: JobID
    package let reporter: any CallReporter
    /// The `traceparent` that the client sent with the job.
    package let traceparent: String?

    package init(job: JobID, reporter: any CallReporter, traceparent: String?) {
        self.job = job
        self.reporter = reporter
        self.traceparent = traceparent
    }
}

/// A line that a call has printed or logged.
package struct LogLine: Sendable, Equatable {
    package enum Stream: String, Sendable, CaseIterable {
        case stdout
        case stderr
        /// A record with a level.
        case log
    }

    package let stream: Stream
    /// Of a record: `debug`, `info`, `warning`, `error`, `critical` or what the function calls it.
    package let level: String?
    /// Without its line feed.
    package let text: String

    /// Bytes of a line; what is longer is cut.
    package static let limitBytes = 16 << 10

    package init(_ stream: Stream, level: String? = nil, _ text: String) {
        self.stream = stream
        self.level = level
        if text.utf8.count > Self.limitBytes + 64 {
            let kept = String(decoding: text.utf8.prefix(Self.limitBytes), as: UTF8.self)
            self.text = kept + " [cut: a line has \(Self.limitBytes) bytes at most]"
        } else {
            self.text = text
        }
    }
}

/// How far a job is: a map by its items, a call by what its function says.
package struct JobProgress: Sendable, Equatable {
    package var done: Double
    /// nil when the function does not say.
    package var total: Double?
    package var failed: Int
    package var running: Int
    package var message: String?

    package init(
        done: Double, total: Double?, failed: Int = 0, running: Int = 0, message: String? = nil,
    ) {
        self.done = done
        self.total = total
        self.failed = failed
        self.running = running
        self.message = message
    }
}
