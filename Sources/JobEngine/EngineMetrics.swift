package import Jobs

/// Counts what becomes of jobs.
///
/// Belongs to the thread of the engine's loop, which all of a job's steps pass, so that counting
/// wants no lock.
struct EngineMetrics {
    private var series: [JobCounts] = []
    private var places: [Key: Int] = [:]
    /// That of the job before, which most often is the next one's, too.
    private var latest: (key: Key, place: Int)?

    private struct Key: Hashable {
        let function: String
        let queue: String

        static let other = Key(function: "other", queue: "other")
    }

    /// Functions and queues, taken together, that are counted by name; the rest share one name.
    private static let limit = 1000

    mutating func submitted(_ job: Job) { change(job) { $0.submitted += 1 } }

    /// Notes the beginning of an attempt.
    mutating func started(_ job: Job, due: Timestamp?) {
        guard let start = job.startedAt else { return }
        let since = max(due ?? job.createdAt, job.createdAt)
        change(job) { counts in
            counts.attempts += 1
            counts.running += 1
            counts.waiting.note(max(0, start.seconds(since: since)))
        }
    }

    /// Notes the end of an attempt, and of the job unless it waits for another one.
    mutating func ended(_ job: Job, hasRun: Bool) {
        let end = job.endedAt ?? .now()
        change(job) { counts in
            if hasRun, let start = job.startedAt {
                counts.running -= 1
                counts.run.note(max(0, end.seconds(since: start)))
            }
            guard job.state.isEnd else { return }
            counts.ended[job.state, default: 0] += 1
            counts.whole.note(max(0, end.seconds(since: job.createdAt)))
        }
    }

    private mutating func change(_ job: Job, _ body: (inout JobCounts) -> Void) {
        let key = Key(function: job.functionName, queue: job.queue)
        if let latest, latest.key == key { return body(&series[latest.place]) }
        let place = place(of: key)
        latest = (key, place)
        body(&series[place])
    }

    /// Where it is counted, from now on if there was no such series.
    private mutating func place(of key: Key) -> Int {
        if let place = places[key] { return place }
        if series.count >= Self.limit, key != .other { return place(of: .other) }
        series.append(JobCounts(function: key.function, queue: key.queue))
        places[key] = series.count - 1
        return series.count - 1
    }

    /// By function and queue.
    var snapshot: [JobCounts] {
        series.sorted { ($0.function, $0.queue) < ($1.function, $1.queue) }
    }
}

/// What has become of the jobs of one function in one queue since the server's start.
package struct JobCounts: Sendable {
    package let function: String
    package let queue: String
    package var submitted = 0
    /// Attempts begun.
    package var attempts = 0
    package var running = 0
    package var ended: [JobState: Int] = [:]
    /// Seconds from when an attempt might begin to its beginning.
    package var waiting = Histogram(bounds: Histogram.durations)
    /// Seconds of an attempt.
    package var run = Histogram(bounds: Histogram.durations)
    /// Seconds from submission to end.
    package var whole = Histogram(bounds: Histogram.durations)

    init(function: String, queue: String) {
        self.function = function
        self.queue = queue
    }
}
