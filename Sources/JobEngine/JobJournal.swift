import Jobs
import Sockets

/// Keeps what calls say while they run: lines go to the store and to those who look on, progress
/// to the latter and to the job as it stands.
///
/// Belongs to the thread of the engine's loop; the reports may come from any.
final class JobJournal: CallReporter, @unchecked Sendable {
    // Unchecked: `logs` is used on the loop's thread alone.
    private let store: any JobStore
    private let live: LiveJobs
    private let events: EventFeed
    private let progressEvents: ProgressEvents
    private let loop: EventLoop
    /// Those who wait for more of a log.
    private let savedLogs: JobWaiters
    private var logs: [JobID: Log] = [:]

    /// Bytes that are kept of a job's log.
    static let limitBytes = 1 << 20
    /// How long lines are gathered before they are written, and how many bytes of them.
    private static let pause = Duration.milliseconds(100)
    private static let unsavedBytes = 64 << 10

    /// The log of a job that has not ended.
    private struct Log {
        var attempt = 1
        var bytes = 0
        var isCut = false
        var unsaved: [UInt8] = []
    }

    init(
        store: any JobStore, live: LiveJobs, events: EventFeed, progressEvents: ProgressEvents,
        savedLogs: JobWaiters, loop: EventLoop,
    ) {
        self.store = store
        self.live = live
        self.events = events
        self.progressEvents = progressEvents
        self.savedLogs = savedLogs
        self.loop = loop
    }

    private func onLoop(_ body: @escaping @Sendable () -> Void) {
        if loop.isCurrent { body() } else { loop.execute(body) }
    }

    // MARK: Reports

    func log(_ lines: [LogLine], of id: JobID) {
        onLoop { self.take(lines, of: id) }
    }

    func progress(_ progress: JobProgress, of id: JobID) {
        onLoop {
            // Of a map the items are the progress.
            guard let job = self.live.job(id), !job.isMap else { return }
            self.live.change(id) { $0.progress = progress }
            if self.events.isRecording { self.progressEvents.note(progress, of: job) }
        }
    }

    private func take(_ lines: [LogLine], of id: JobID) {
        guard let job = live.job(id) else { return }
        var log = logs.removeValue(forKey: id) ?? Log()
        let wasIdle = log.unsaved.isEmpty
        if log.attempt < job.attempt {
            log.attempt = job.attempt
            add(LogLine(.log, level: "info", "attempt \(job.attempt) begins"), to: &log, of: job)
        }
        for line in lines where !log.isCut { add(line, to: &log, of: job) }
        let isMuch = log.unsaved.count > Self.unsavedBytes
        let isNew = wasIdle && !log.unsaved.isEmpty
        logs[id] = log
        if isMuch {
            save(id)
        } else if isNew {
            loop.schedule(after: Self.pause) { self.save(id) }
        }
    }

    private func add(_ line: LogLine, to log: inout Log, of job: Job) {
        var line = line
        log.bytes += line.text.utf8.count + 1
        if log.bytes > Self.limitBytes {
            log.isCut = true
            line = LogLine(
                .log, level: "warning",
                "the log is cut here: \(Self.limitBytes) bytes are kept of a job")
        }
        if let level = line.level { log.unsaved += "[\(level)] ".utf8 }
        log.unsaved += line.text.utf8
        log.unsaved.append(UInt8(ascii: "\n"))
        if events.isRecording { events.publish(EventSubject(job), .log(line)) }
    }

    // MARK: Writing

    private func save(_ id: JobID) {
        guard let text = logs[id]?.unsaved, !text.isEmpty, let job = live.job(id) else { return }
        logs[id]?.unsaved = []
        let savedLogs = self.savedLogs
        store.appendLog(id, text, limit: Self.limitBytes) { savedLogs.tell(job) }
    }

    /// Writes what is left of an attempt's lines; to be called before its end is written.
    func attemptEnds(_ id: JobID) {
        if !logs.isEmpty { save(id) }
    }

    /// Lets go of a job that has ended.
    func close(_ job: Job) {
        if !logs.isEmpty { logs[job.id] = nil }
        savedLogs.tell(job)
    }
}
