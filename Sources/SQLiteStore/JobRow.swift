import Jobs
import RawJSON

/// The columns of `jobs` and a job's values in their order.
enum JobRow {
    /// What lists show; the large columns follow.
    static let columnsOfList = """
        id, uuid_low, bucket, state, function, queue, pool, priority, attempt, created_at,
        not_before, wakes_at, started_at, ended_at, expires_at, items_done, items_failed,
        item_count, idempotency_key, traceparent, tags, cpus, failure
        """

    static let columns = columnsOfList + ", failed_attempts, submission, result"

    /// In place of the submission nothing, a result in the row of at most as many bytes as the
    /// statement's first value says, then the result's size and the name of its file.
    static let columnsOfSummary =
        columnsOfList + """
            , failed_attempts, NULL,
            CASE WHEN typeof(result) = 'blob' AND length(result) <= ? THEN result END,
            CASE typeof(result) WHEN 'text' THEN (SELECT bytes FROM payloads WHERE file = result)
                ELSE length(result) END,
            CASE typeof(result) WHEN 'text' THEN result END
            """

    /// The columns in their order, and what of the result only summaries have.
    fileprivate enum Column: Int32 {
        case id, uuidLow, bucket, state, function, queue, pool, priority, attempt, createdAt
        case notBefore, wakesAt, startedAt, endedAt, expiresAt, itemsDone, itemsFailed
        case itemCount, idempotencyKey, traceparent, tags, cpus, failure
        case failedAttempts, submission, result, resultBytes, resultFile
    }

    /// Binds a new job's values in the order of `columns`.
    static func bind(
        _ job: Job, bucket: Int64, submission file: PayloadFile?, to row: inout RowValues,
    ) {
        let submission = job.submission
        row.add(job.id.sequence)
        row.add(Int64(bitPattern: job.id.low))
        row.add(bucket)
        row.add(job.state.rawValue)
        row.add(submission.function)
        row.add(submission.queue ?? "default")
        row.add(job.pool.rawValue)
        row.add(submission.priority)
        row.add(job.attempt)
        row.add(job.createdAt.microseconds)
        bindTimes(job, to: &row)
        row.add(job.itemsDone)
        row.add(job.itemsFailed)
        if case .map(_, let count, _) = submission.work {
            row.add(count)
        } else {
            row.addNull()
        }
        row.add(job.idempotencyKey)
        row.add(job.traceparent)
        row.add(text(submission.tags))
        if let cpus = submission.cpus, cpus != 1 { row.add(cpus) } else { row.addNull() }
        bindFailures(job, to: &row)
        if let file { row.add(file.name) } else { row.add(submission.document.bytes) }
        bindResult(job, in: nil, to: &row)
    }

    /// Binds `not_before` to `expires_at`.
    static func bindTimes(_ job: Job, to row: inout RowValues) {
        row.add(job.notBefore?.microseconds)
        row.add(job.state == .queued ? job.notBefore?.microseconds : nil)
        row.add(job.startedAt?.microseconds)
        row.add(job.endedAt?.microseconds)
        row.add(job.expiresAt?.microseconds)
    }

    /// Binds the failure of the latest attempt, then those of all.
    static func bindFailures(_ job: Job, to row: inout RowValues) {
        if let failure = job.failure { row.add(failure.json.bytes) } else { row.addNull() }
        if job.failedAttempts.isEmpty { return row.addNull() }
        var writer = JSONWriter()
        writer.beginArray()
        for attempt in job.failedAttempts { attempt.write(to: &writer) }
        writer.endArray()
        row.add(writer.bytes)
    }

    static func bindResult(_ job: Job, in file: PayloadFile?, to row: inout RowValues) {
        if let file { return row.add(file.name) }
        if let result = job.result { row.add(result.bytes) } else { row.addNull() }
    }

    /// Tags as a JSON array; nil for none.
    static func text(_ tags: [String]) -> String? {
        guard !tags.isEmpty else { return nil }
        var writer = JSONWriter(capacity: 64)
        writer.beginArray()
        for tag in tags { writer.value(tag) }
        writer.endArray()
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    static func tags(_ text: String?) -> [String] {
        guard let text else { return [] }
        return RawJSON(trusted: Array(text.utf8)[...]).elements().compactMap(\.string)
    }

    /// The id in the columns `id` and `uuid_low`.
    static func id(_ sequence: Int64, low: Int64) -> JobID {
        let bits = UInt64(bitPattern: sequence)
        return JobID(
            high: (bits >> 12) << 16 | 0x7000 | bits & 0xfff, low: UInt64(bitPattern: low))
    }

    static func id(_ row: RowReader) -> JobID { id(row.number(.id), low: row.number(.uuidLow)) }

    static func bucket(_ row: RowReader) -> Int64 { row.number(.bucket) }

    /// Whether the store has not seen yet that the job is due.
    static func isDelayed(_ row: RowReader) -> Bool { row.optionalNumber(.wakesAt) != nil }

    /// The job of a row with all `columns`, and its submission wherever that is; of a result in a
    /// file only the size.
    ///
    /// - Throws: `StoreError` when the submission cannot be read, which only damage explains.
    static func job(_ row: RowReader, _ files: PayloadFiles) throws -> Job {
        guard let document = try document(row, files),
            let submission = try? JobSubmission(parsing: document)
        else {
            throw StoreError.failed("job \(id(row)) is damaged; see martlet doctor")
        }
        var job = try job(row, submission)
        if job.isMap, let count = row.optionalNumber(.itemCount) {
            job.submission.setItemCount(Int(count))
        }
        readEnds(row, &job)
        if row.isText(.result) {
            job.unreadResultBytes = try files.size(of: row.text(.result))
            job.isResultInFile = true
        }
        return job
    }

    /// The submission, from the row or a file; nil when that is not there, or cut short.
    private static func document(_ row: RowReader, _ files: PayloadFiles) throws -> RawJSON? {
        guard row.isText(.submission) else { return RawJSON(trusted: row.bytes(.submission)[...]) }
        return try files.whole(row.text(.submission)).flatMap { try? RawJSON(validating: $0) }
    }

    /// The bytes of the result of a row with all `columns`, wherever it is; nil when it is nowhere.
    static func result(_ row: RowReader, _ files: PayloadFiles) throws -> [UInt8]? {
        guard row.isText(.result) else { return row.optionalBytes(.result) }
        return try files.whole(row.text(.result))
    }

    /// The result in the row, and the failed attempts.
    private static func readEnds(_ row: RowReader, _ job: inout Job) {
        if !row.isText(.result) {
            job.result = row.optionalBytes(.result).map { RawJSON(trusted: $0[...]) }
        }
        if let attempts = row.optionalBytes(.failedAttempts) {
            job.failedAttempts = RawJSON(trusted: attempts[...]).elements().compactMap(
                FailedAttempt.init(json:))
        }
    }

    /// The job of a row with the `columnsOfSummary`.
    static func summary(_ row: RowReader) throws -> Job {
        var job = try listed(row)
        readEnds(row, &job)
        if job.result == nil {
            job.unreadResultBytes = row.optionalNumber(.resultBytes).map { Int($0) }
            job.isResultInFile = !row.isNull(.resultFile)
        }
        return job
    }

    /// Whether the result of a row with the `columnsOfSummary`, if it is in a file, is there whole.
    static func hasResult(_ row: RowReader, _ files: PayloadFiles) throws -> Bool {
        guard let name = row.optionalText(.resultFile) else { return true }
        return try files.size(of: name) == row.optionalNumber(.resultBytes).map { Int($0) }
    }

    /// The job of a row with the `columnsOfList`.
    static func listed(_ row: RowReader) throws -> Job {
        let work = row.optionalNumber(.itemCount).map { count in
            JobWork.map(items: .emptyArray, count: Int(count), spread: false)
        }
        return try job(
            row,
            JobSubmission(
                function: row.text(.function), work: work ?? .call(arguments: .emptyArray),
                priority: Int(row.number(.priority))))
    }

    private static func job(_ row: RowReader, _ submission: JobSubmission) throws -> Job {
        var submission = submission
        submission.queue = row.text(.queue)
        submission.tags = tags(row.optionalText(.tags))
        submission.cpus = row.optionalNumber(.cpus).map { Int($0) } ?? 1
        guard let state = JobState(rawValue: row.text(.state)),
            let pool = PoolKind(rawValue: row.text(.pool))
        else { throw StoreError.failed("job \(id(row)) is damaged; see martlet doctor") }
        var job = Job(
            id: id(row), submission: submission, pool: pool, state: state,
            attempt: Int(row.number(.attempt)),
            createdAt: Timestamp(microseconds: row.number(.createdAt)),
            notBefore: time(row, .notBefore), startedAt: time(row, .startedAt),
            endedAt: time(row, .endedAt),
            expiresAt: time(row, .expiresAt), itemsDone: Int(row.number(.itemsDone)),
            itemsFailed: Int(row.number(.itemsFailed)),
            failure: row.optionalBytes(.failure).flatMap {
                Failure(json: RawJSON(trusted: $0[...]))
            },
            idempotencyKey: row.optionalText(.idempotencyKey))
        job.traceparent = row.optionalText(.traceparent)
        return job
    }

    private static func time(_ row: RowReader, _ column: Column) -> Timestamp? {
        row.optionalNumber(column).map { Timestamp(microseconds: $0) }
    }
}

extension RowReader {
    fileprivate func number(_ column: JobRow.Column) -> Int64 { number(column.rawValue) }
    fileprivate func text(_ column: JobRow.Column) -> String { text(column.rawValue) }
    fileprivate func bytes(_ column: JobRow.Column) -> [UInt8] { bytes(column.rawValue) }
    fileprivate func optionalNumber(_ column: JobRow.Column) -> Int64? {
        optionalNumber(column.rawValue)
    }
    fileprivate func optionalText(_ column: JobRow.Column) -> String? {
        optionalText(column.rawValue)
    }
    fileprivate func isNull(_ column: JobRow.Column) -> Bool { isNull(column.rawValue) }
    fileprivate func isText(_ column: JobRow.Column) -> Bool { isText(column.rawValue) }
    fileprivate func optionalBytes(_ column: JobRow.Column) -> [UInt8]? {
        optionalBytes(column.rawValue)
    }
}
