import GRDB
import Jobs

/// The writing connection's knowledge of the buckets: their numbers, and how many jobs the
/// transaction under way has put into each or taken away.
final class BucketLedger: @unchecked Sendable {
    // Unchecked: made by the one writing connection and used in its transactions alone.
    private let find: RowStatement
    private let insert: RowStatement
    private let count: RowStatement
    private var numbers: [Bucket: Int64] = [:]
    /// A few of them that are found quicker than by a hash.
    private var latest: [(bucket: Bucket, number: Int64)] = []
    private var oldest = 0
    private var changes: [Int64: Int] = [:]

    /// Buckets whose numbers are remembered; there may be one a client's queue.
    private static let remembered = 4096

    init(_ database: Database) throws {
        find = try RowStatement(
            database,
            """
            SELECT id FROM buckets WHERE state = ? AND function = ? AND queue = ? AND pool = ?
                AND priority = ? AND delayed = ?
            """)
        insert = try RowStatement(
            database,
            """
            INSERT INTO buckets (state, function, queue, pool, priority, delayed, count)
            VALUES (?, ?, ?, ?, ?, ?, 0) RETURNING id
            """)
        count = try RowStatement(database, "UPDATE buckets SET count = count + ? WHERE id = ?")
    }

    /// The number of a bucket, which is made if it is not there.
    func number(of bucket: Bucket) throws -> Int64 {
        for known in latest where known.bucket == bucket { return known.number }
        let number = try numbers[bucket] ?? stored(bucket)
        if numbers.count >= Self.remembered { numbers = [:] }
        numbers[bucket] = number
        if latest.count < 8 {
            latest.append((bucket, number))
        } else {
            latest[oldest] = (bucket, number)
            oldest = (oldest + 1) % 8
        }
        return number
    }

    private func stored(_ bucket: Bucket) throws -> Int64 {
        func bind(_ row: inout RowValues) {
            row.add(bucket.state.rawValue)
            row.add(bucket.function)
            row.add(bucket.queue)
            row.add(bucket.pool.rawValue)
            row.add(bucket.priority)
            row.add(bucket.isDelayed ? 1 : 0)
        }
        if let number = try find.first(bind, { $0.number(0) }) { return number }
        guard let number = try insert.first(bind, { $0.number(0) }) else {
            throw DatabaseError(message: "a new bucket has no number")
        }
        return number
    }

    /// Takes note that `jobs` more lie in the bucket, or fewer.
    func add(_ jobs: Int, to number: Int64) { changes[number, default: 0] += jobs }

    /// Writes the counts; the last thing that a transaction does.
    func flush() throws {
        for (number, change) in changes where change != 0 {
            try count.run { row in
                row.add(change)
                row.add(number)
            }
        }
        changes.removeAll(keepingCapacity: true)
    }

    /// Forgets what a transaction that was undone has done.
    func reset() {
        changes = [:]
        forgetNumbers()
    }

    /// Looks the buckets up again, because some may be gone.
    func forgetNumbers() {
        numbers = [:]
        latest = []
        oldest = 0
    }
}
