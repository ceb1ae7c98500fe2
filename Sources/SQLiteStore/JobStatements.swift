import GRDB

/// The changes that are made for every job, prepared once.
final class JobStatements: @unchecked Sendable {
    // Unchecked: made by the one writing connection and used in its transactions alone.
    let insertJob: RowStatement
    let insertTag: RowStatement
    let noteStarted: RowStatement
    let update: RowStatement
    let saveItems: RowStatement

    init(_ database: Database) throws {
        insertJob = try RowStatement(
            database,
            """
            INSERT INTO jobs (\(JobRow.columns))
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """)
        insertTag = try RowStatement(
            database, "INSERT OR IGNORE INTO job_tags (tag, job) VALUES (?, ?)")
        // Not of an attempt that was put back in the queue before its note came: that one has the
        // same start.
        noteStarted = try RowStatement(
            database,
            """
            UPDATE jobs SET state = 'running', attempt = ?1, started_at = ?2
            WHERE id = ?3 AND state = 'queued' AND attempt < ?1 AND started_at IS NOT ?2
            """)
        update = try RowStatement(
            database,
            """
            UPDATE jobs SET state = ?, attempt = ?, not_before = ?, started_at = ?, ended_at = ?,
                expires_at = ?, items_done = ?, items_failed = ?, result = ?, failure = ?,
                failed_attempts = ?
            WHERE id = ?
            """)
        saveItems = try RowStatement(
            database,
            """
            INSERT OR REPLACE INTO items (job, first, count, results, failures)
            VALUES (?, ?, ?, ?, ?)
            """)
    }
}
