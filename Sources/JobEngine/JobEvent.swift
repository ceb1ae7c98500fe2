package import Jobs

/// Something that happened to a job, for those who look on.
package struct JobEvent: Sendable {
    package enum Content: Sendable {
        case state(JobState, attempt: Int, failure: Failure?)
        case progress(JobProgress)
        case log(LogLine)
    }

    /// Greater than that of every event before it, over restarts too.
    package let id: Int64
    package let subject: EventSubject
    package let content: Content
    package let at: Timestamp

    /// Whether nothing more will be told of the job.
    package var isEnd: Bool {
        if case .state(let state, _, _) = content { state.isEnd } else { false }
    }

    /// Bytes that it takes in memory, about.
    var cost: Int {
        switch content {
        case .state(_, _, let failure): 256 + (failure?.traceback?.utf8.count ?? 0)
        case .progress(let progress): 256 + (progress.message?.utf8.count ?? 0)
        case .log(let line): 256 + line.text.utf8.count
        }
    }
}

/// Of an event: which job it is about.
package struct EventSubject: Sendable {
    package let job: JobID
    package let function: String
    package let queue: String
    package let pool: PoolKind
    package let tags: [String]

    package init(_ job: Job) {
        self.job = job.id
        function = job.functionName
        queue = job.queue
        pool = job.pool
        tags = job.tags
    }
}

/// Which events somebody wants to be told; members that are nil do not restrict.
package struct EventFilter: Sendable, Equatable {
    package var job: JobID?
    package var function: String?
    package var queue: String?
    package var tag: String?

    package init(
        job: JobID? = nil, function: String? = nil, queue: String? = nil, tag: String? = nil,
    ) {
        self.job = job
        self.function = function
        self.queue = queue
        self.tag = tag
    }

    func takes(_ subject: EventSubject) -> Bool {
        (job == nil || job == subject.job)
            && (function == nil || function == subject.function)
            && (queue == nil || queue == subject.queue)
            && (tag.map(subject.tags.contains) ?? true)
    }
}
