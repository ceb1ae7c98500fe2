import Foundation
import GRDB
package import Jobs
import RawJSON

/// What is there.
extension SQLiteJobStore {
    package func job(_ id: JobID) async throws(StoreError) -> Job? {
        let files = payloads.files
        return try await read { database in
            let statement = try RowStatement(
                cached: "SELECT \(JobRow.columns) FROM jobs WHERE id = ? AND uuid_low = ?",
                database)
            return try statement.first(
                {
                    $0.add(id.sequence)
                    $0.add(Int64(bitPattern: id.low))
                }, { try JobRow.job($0, files) })
        }
    }

    package func list(_ query: JobQuery) async throws(StoreError) -> [Job] {
        try await read { try JobSearch(query).jobs($0) }
    }

    package func counts() async throws(StoreError) -> [QueueCount] {
        try await read { database in
            var counts: [QueueCount] = []
            let statement = try RowStatement(
                cached: """
                    SELECT queue, state, sum(count) FROM buckets WHERE count > 0
                    GROUP BY queue, state ORDER BY queue, state
                    """, database)
            try statement.rows({ _ in }) { row in
                if let state = JobState(rawValue: row.text(1)) {
                    counts.append(
                        QueueCount(queue: row.text(0), state: state, count: Int(row.number(2))))
                }
                return true
            }
            return counts
        }
    }

    // MARK: Items

    package func items(
        _ id: JobID, _ cursor: ItemCursor, onlyFailed: Bool, maxBytes: Int,
    ) async throws(StoreError) -> ItemPage {
        try await read { database in
            let (condition, place): (String, Int64) =
                switch cursor {
                case .index(let first):
                    // From the segment that begins last at or before the item.
                    (
                        """
                        first >= (SELECT coalesce(max(first), 0) FROM items
                            WHERE job = ?1 AND first <= ?2)
                            AND first + count > ?2
                            \(onlyFailed ? "AND failures IS NOT NULL" : "") ORDER BY first
                        """, Int64(first)
                    )
                case .written(let after):
                    (
                        """
                        rowid > ?2 \(onlyFailed ? "AND failures IS NOT NULL" : "") ORDER BY rowid
                        """, after
                    )
                }
            let rows = try Row.fetchCursor(
                database,
                sql: """
                    SELECT rowid, first, count, results, failures FROM items
                    WHERE job = ?1 AND \(condition)
                    """, arguments: [id.sequence, place])
            var page = ItemPage(segments: [], next: cursor)
            var size = 0
            while page.segments.isEmpty || size < maxBytes, let row = try rows.next() {
                let segment = Self.segment(row)
                size += segment.results.count
                page.segments.append(segment)
                page.next =
                    if case .index = cursor { .index(segment.end) } else {
                        .written(after: row["rowid"])
                    }
            }
            return page
        }
    }

    static func segment(_ row: Row) -> ItemSegment {
        let failures = (row["failures"] as String?).map { text in
            RawJSON(trusted: Array(text.utf8)[...]).elements().compactMap(Failure.init(json:))
        }
        return ItemSegment(
            first: row["first"], count: row["count"], results: Array(row["results"] as Data),
            failures: failures ?? [])
    }

    package func itemRanges(_ id: JobID) async throws(StoreError) -> [Range<Int>] {
        try await read { database in
            try Row.fetchAll(
                database, sql: "SELECT first, count FROM items WHERE job = ? ORDER BY first",
                arguments: [id.sequence]
            ).map { row in
                let first: Int = row["first"]
                return first..<first + (row["count"] as Int)
            }
        }
    }
}
