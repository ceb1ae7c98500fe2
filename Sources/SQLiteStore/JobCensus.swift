import GRDB
import Jobs
import RawJSON

/// Goes through all jobs once and tells what is wrong with them.
struct JobCensus {
    private(set) var jobs = 0
    private(set) var findings: [String] = []
    private let files: PayloadFiles
    private var buckets: [Int64: Bucket] = [:]
    private var storedCounts: [Int64: Int] = [:]
    private var counts: [Int64: Int] = [:]
    /// How many jobs have this wrong, and the first of them.
    private var wrong: [Wrong: (count: Int, first: JobID)] = [:]

    private enum Wrong: String, CaseIterable {
        case unreadable = "cannot be read: the submission, the state or the pool is damaged"
        case misplaced = "lie in a bucket that is not theirs"
        case result = "have a result that is not JSON"
        case ends = "have ended without a time of their end or of the result's expiry"
        case expiry = "have not ended but would expire"
    }

    init(_ database: Database, _ files: PayloadFiles) throws {
        self.files = files
        try readBuckets(database)
        let statement = try RowStatement(
            database, "SELECT \(JobRow.columns) FROM jobs ORDER BY id")
        try statement.rows({ _ in }) { row in
            look(at: row)
            return true
        }
        for kind in Wrong.allCases {
            guard let (count, first) = wrong[kind] else { continue }
            findings.append("\(count) jobs \(kind.rawValue); the first is \(first)")
        }
        let differing = Set(storedCounts.keys).union(counts.keys).filter {
            storedCounts[$0] ?? 0 != counts[$0] ?? 0
        }
        if !differing.isEmpty {
            findings.append("\(differing.count) buckets do not count their jobs rightly")
        }
    }

    private mutating func readBuckets(_ database: Database) throws {
        let statement = try RowStatement(
            database,
            "SELECT id, state, function, queue, pool, priority, delayed, count FROM buckets")
        try statement.rows({ _ in }) { row in
            storedCounts[row.number(0)] = Int(row.number(7))
            if let state = JobState(rawValue: row.text(1)),
                let pool = PoolKind(rawValue: row.text(4))
            {
                buckets[row.number(0)] = Bucket(
                    state: state, function: row.text(2), queue: row.text(3), pool: pool,
                    priority: Int(row.number(5)), isDelayed: row.number(6) == 1)
            }
            return true
        }
    }

    private mutating func look(at row: RowReader) {
        jobs += 1
        let bucket = JobRow.bucket(row)
        counts[bucket, default: 0] += 1
        guard let job = try? JobRow.job(row, files) else {
            return note(.unreadable, JobRow.id(row))
        }
        var rightful = Bucket(job)
        rightful.isDelayed = JobRow.isDelayed(row)
        if buckets[bucket] != rightful { note(.misplaced, job.id) }
        // Of a file that is not there the doctor tells.
        if let result = try? JobRow.result(row, files),
            (try? RawJSON(validating: result)) == nil
        {
            note(.result, job.id)
        }
        if job.state.isEnd {
            if job.endedAt == nil || job.expiresAt == nil { note(.ends, job.id) }
        } else if job.expiresAt != nil {
            note(.expiry, job.id)
        }
    }

    private mutating func note(_ kind: Wrong, _ id: JobID) {
        wrong[kind, default: (0, id)].count += 1
    }
}
