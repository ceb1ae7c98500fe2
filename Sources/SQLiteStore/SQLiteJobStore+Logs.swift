import Foundation
import GRDB
package import Jobs

/// What jobs print: rows of whole lines, appended.
extension SQLiteJobStore {
    package func appendLog(
        _ id: JobID, _ text: [UInt8], limit: Int, saved: @escaping @Sendable () -> Void,
    ) {
        change(
            { database in
                let statement = try database.cachedStatement(
                    sql: """
                        INSERT INTO logs (job, text) SELECT ?1, ?2
                        WHERE EXISTS (SELECT 1 FROM jobs WHERE id = ?1) AND ?3 > (
                            SELECT coalesce(sum(length(text)), 0) FROM logs WHERE job = ?1)
                        """)
                try statement.execute(arguments: [id.sequence, Data(text), limit])
            },
            done: { _ in
                // Lines that a full disk has lost are lost: a job's outcome matters more.
                saved()
            })
    }

    package func log(
        _ id: JobID, after cursor: Int64, maxBytes: Int,
    ) async throws(StoreError) -> LogPage {
        try await read { database in
            let rows = try Row.fetchCursor(
                database,
                sql: "SELECT id, text FROM logs WHERE job = ? AND id > ? ORDER BY id",
                arguments: [id.sequence, cursor])
            var page = LogPage(text: [], next: cursor)
            while page.text.isEmpty || page.text.count < maxBytes, let row = try rows.next() {
                page.text += Array(row["text"] as Data)
                page.next = row["id"]
            }
            return page
        }
    }
}
