import GRDB
import Jobs
import Logging
import Synchronization

/// Keeps the store below its bound, `Settings.maxBytes`.
///
/// At the bound itself SQLite refuses to grow, as if the disk were full, and no file is added
/// (`PayloadStatements`). Before, at nine tenths of it, the jobs that were submitted first and have
/// ended lose their results, then go altogether, down to eight tenths. The file keeps its size; what
/// is free in it is used again.
extension SQLiteJobStore {
    /// Makes room if it is time to.
    func makeRoom() async throws(StoreError) {
        guard let limit = settings.maxBytes else { return }
        let (high, low) = (limit / 10 * 9, limit / 10 * 8)
        guard try await usedBytes() > high else { return }
        let results = try await thin(to: low, after: thinnedUpTo.withLock { $0 }) {
            try Self.dropResult($0, $1, $2)
        }
        thinnedUpTo.withLock { $0 = results.last }
        let jobs = try await thin(to: low, after: Int64.min) { try $2.delete($0) }
        let used = try await usedBytes()
        logger.warning(
            "the store comes near its bound",
            metadata: [
                "bytes": "\(used)", "max_store_bytes": "\(limit)",
                "results_dropped": "\(results.count)", "jobs_forgotten": "\(jobs.count)",
            ])
        if used > high {
            logger.error(
                "jobs that have not ended fill the store; at its bound new ones are refused",
                metadata: ["bytes": "\(used)", "max_store_bytes": "\(limit)"])
        }
    }

    /// How many jobs lose something before the store is measured again; they may be large.
    private static let thinStep = 50

    /// Bytes of the pages that hold something, and of the files.
    private func usedBytes() async throws(StoreError) -> Int64 {
        try await read(PayloadStatements.usedBytes)
    }

    /// Changes ended jobs, the oldest first, until the store is small enough.
    ///
    /// - Parameters:
    ///   - bytes: of the store then.
    ///   - place: the job to begin after.
    ///   - change: says whether it has changed anything.
    /// - Returns: how many jobs were changed, and the last that was looked at.
    /// - Throws: what the store throws.
    private func thin(
        to bytes: Int64, after place: Int64,
        _ change: @escaping @Sendable (Int64, Database, JobStatements) throws -> Bool,
    ) async throws(StoreError) -> (count: Int, last: Int64) {
        var (count, last) = (0, place)
        while try await usedBytes() > bytes {
            let from = last
            let ids = try await read { database in
                try Self.oldestEnded(after: from, database).prefix(Self.thinStep)
            }
            guard let end = ids.last else { break }
            count += try await writer.perform { database, statements in
                try ids.count { try change($0, database, statements) }
            }
            last = end
        }
        return (count, last)
    }

    private static func oldestEnded(after place: Int64, _ database: Database) throws -> [Int64] {
        let buckets = try RowStatement(
            cached: """
                SELECT id FROM buckets WHERE count > 0
                    AND (state = 'succeeded' OR state = 'failed' OR state = 'cancelled')
                """, database
        ).numbers { _ in }
        return try oldest(buckets, after: place, database)
    }
}
