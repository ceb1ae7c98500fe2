import GRDB
import Jobs

/// Mends what can be told from the jobs themselves.
enum StoreRepair {
    /// Does it in one transaction.
    static func run(_ database: Database) throws {
        // First, since what follows reads by the indexes.
        try database.execute(sql: "REINDEX")
        try database.inTransaction(.immediate) {
            for sql in [times, buckets, tags, parts] { try database.execute(sql: sql) }
            return .commit
        }
    }

    /// Ended jobs keep their results for a week from now; others do not expire.
    private static let times = """
        UPDATE jobs SET ended_at = coalesce(ended_at, started_at, created_at),
            expires_at = coalesce(expires_at, (unixepoch() + 7 * 86400) * 1000000)
        WHERE (ended_at IS NULL OR expires_at IS NULL)
            AND (state = 'succeeded' OR state = 'failed' OR state = 'cancelled');
        UPDATE jobs SET wakes_at = NULL WHERE wakes_at IS NOT NULL AND state <> 'queued';
        UPDATE jobs SET expires_at = NULL WHERE expires_at IS NOT NULL
            AND (state = 'queued' OR state = 'running' OR state = 'cancelling')
        """

    /// The rule of `Bucket`, for all jobs at once.
    private static let buckets = """
        DELETE FROM buckets;
        INSERT INTO buckets (state, function, queue, pool, priority, delayed, count)
            SELECT state, function, queue, pool, iif(state = 'queued', priority, 0) AS priority_in,
                wakes_at IS NOT NULL AS delayed_in, count(*)
            FROM jobs GROUP BY state, function, queue, pool, priority_in, delayed_in;
        UPDATE jobs SET bucket = (
            SELECT id FROM buckets WHERE state = jobs.state AND function = jobs.function
                AND queue = jobs.queue AND pool = jobs.pool
                AND priority = iif(jobs.state = 'queued', jobs.priority, 0)
                AND delayed = (jobs.wakes_at IS NOT NULL))
        """

    private static let tags = """
        DELETE FROM job_tags;
        INSERT OR IGNORE INTO job_tags (tag, bucket, job)
            SELECT value, bucket, jobs.id FROM jobs, json_each(jobs.tags)
            WHERE jobs.tags IS NOT NULL
        """

    private static let parts = """
        DELETE FROM items WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE id = items.job);
        DELETE FROM logs WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE id = logs.job);
        DELETE FROM uploads WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE id = uploads.job);
        DELETE FROM item_pieces WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE id = item_pieces.job);
        DELETE FROM payloads WHERE \(isUnnamed)
        """

    /// Of a file in the list of those that jobs name.
    static let isUnnamed = """
        NOT EXISTS (SELECT 1 FROM jobs WHERE id = payloads.job
            AND (typeof(submission) = 'text' AND submission = file
                OR typeof(result) = 'text' AND result = file))
        """
}
