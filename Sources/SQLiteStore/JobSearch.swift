import GRDB
import Jobs

/// Finds the jobs of a list, newest first, without looking at any other.
///
/// The buckets that fit the query are few; each is a run of one index, or of the tags' table. The
/// newest of every run are merged, and a run is left as soon as it falls behind what was found.
struct JobSearch {
    private let query: JobQuery

    init(_ query: JobQuery) { self.query = query }

    func jobs(_ database: Database) throws -> [Job] {
        guard query.isRestricted else { return try newest(database) }
        var found = NewestIDs(limit: query.limit)
        let buckets = try fittingBuckets(database)
        for run in runs(buckets) { try found.merge(ids(run, above: found.floor, database)) }
        let statement = try RowStatement(
            cached: "SELECT \(JobRow.columnsOfList) FROM jobs WHERE id = ?", database)
        return try found.ids.compactMap { id in
            try statement.first({ $0.add(id) }, JobRow.listed)
        }
    }

    private func newest(_ database: Database) throws -> [Job] {
        var jobs: [Job] = []
        let statement = try RowStatement(
            cached: """
                SELECT \(JobRow.columnsOfList) FROM jobs WHERE id < ? ORDER BY id DESC LIMIT ?
                """, database)
        try statement.rows { row in
            row.add(query.before?.sequence ?? Int64.max)
            row.add(query.limit)
        } _: { row in
            jobs.append(try JobRow.listed(row))
            return true
        }
        return jobs
    }

    private struct FittingBucket {
        let number: Int64
        let function: String
    }

    private func fittingBuckets(_ database: Database) throws -> [FittingBucket] {
        var buckets: [FittingBucket] = []
        let wanted = [
            ("state", query.state?.rawValue), ("function", query.function), ("queue", query.queue),
        ].filter { $0.1 != nil }
        let conditions = wanted.map { " AND \($0.0) = ?" }.joined()
        let statement = try RowStatement(
            cached: "SELECT id, function FROM buckets WHERE count > 0\(conditions)", database)
        try statement.rows { row in
            for (_, value) in wanted { row.add(value) }
        } _: { row in
            buckets.append(FittingBucket(number: row.number(0), function: row.text(1)))
            return true
        }
        return buckets
    }

    /// A part of a bucket.
    private struct Run {
        let bucket: Int64
        /// Only jobs with this tag.
        var tag: String?
        var ids = Int64.min...Int64.max
    }

    private func runs(_ buckets: [FittingBucket]) -> [Run] {
        guard let text = query.search else {
            return buckets.map { Run(bucket: $0.number, tag: query.tag) }
        }
        var runs: [Run] = []
        let range = JobID.sequences(ofPrefix: text)
        for bucket in buckets {
            if bucket.function.hasPrefix(text) {
                runs.append(Run(bucket: bucket.number, tag: query.tag))
                continue
            }
            if let range {
                runs.append(Run(bucket: bucket.number, tag: query.tag, ids: range))
            }
            if query.tag == nil { runs.append(Run(bucket: bucket.number, tag: text)) }
        }
        return runs
    }

    private func ids(_ run: Run, above floor: Int64, _ database: Database) throws -> [Int64] {
        let (table, id, condition) =
            run.tag == nil
            ? ("jobs INDEXED BY jobs_bucket", "id", "") : ("job_tags", "job", "tag = ? AND ")
        let statement = try RowStatement(
            cached: """
                SELECT \(id) FROM \(table)
                WHERE \(condition)bucket = ? AND \(id) < ? AND \(id) >= ? AND \(id) <= ?
                ORDER BY \(id) DESC LIMIT ?
                """, database)
        return try statement.numbers { row in
            if let tag = run.tag { row.add(tag) }
            row.add(run.bucket)
            row.add(query.before?.sequence ?? Int64.max)
            row.add(max(floor, run.ids.lowerBound))
            row.add(run.ids.upperBound)
            row.add(query.limit)
        }
    }
}

extension JobQuery {
    fileprivate var isRestricted: Bool {
        state != nil || function != nil || queue != nil || tag != nil || search != nil
    }
}
