import Foundation
import GRDB
import Jobs
import RawJSON

/// Version 2 of the tables: jobs lie in buckets, and what may be large comes last in their rows.
///
/// The jobs are written anew, so that the file holds them twice for as long as it lasts; it is one
/// transaction, and a store whose disk has no room for it stays as it was.
enum BucketMigration {
    static func run(_ database: Database) throws {
        try database.execute(sql: setAside)
        try database.execute(sql: tables)
        database.add(function: itemCount)
        database.add(function: allTags)
        defer {
            database.remove(function: itemCount)
            database.remove(function: allTags)
        }
        try database.execute(sql: move)
        try database.execute(sql: indexes)
    }

    private static let setAside = """
        ALTER TABLE jobs RENAME TO jobs_1;
        DROP INDEX jobs_queued;
        DROP INDEX jobs_key;
        DROP INDEX jobs_expiring;
        -- Of jobs that do not wait it says nothing any more.
        UPDATE jobs_1 SET not_before = NULL WHERE not_before IS NOT NULL AND state <> 'queued';
        -- Jobs that a restart has cancelled; they go after a week.
        UPDATE jobs_1 SET expires_at = (unixepoch() + 7 * 86400) * 1000000
            WHERE expires_at IS NULL
                AND (state = 'succeeded' OR state = 'failed' OR state = 'cancelled');
        ALTER TABLE job_tags RENAME TO job_tags_1
        """

    /// What may be large comes last in a row: lists do not read so far.
    private static let tables = """
        -- Jobs that lists and the dispatcher need not tell apart, and how many they are: see
        -- Bucket. Its rows are kept with the jobs, in the same transactions.
        CREATE TABLE buckets (
            id INTEGER PRIMARY KEY,
            state TEXT NOT NULL,
            function TEXT NOT NULL,
            queue TEXT NOT NULL,
            pool TEXT NOT NULL,
            priority INTEGER NOT NULL,
            delayed INTEGER NOT NULL,
            count INTEGER NOT NULL,
            UNIQUE (state, function, queue, pool, priority, delayed)
        );
        CREATE TABLE jobs (
            id INTEGER PRIMARY KEY,
            uuid_low INTEGER NOT NULL,
            bucket INTEGER NOT NULL,
            state TEXT NOT NULL CHECK (
                state = 'queued' OR state = 'running' OR state = 'cancelling'
                OR state = 'succeeded' OR state = 'failed' OR state = 'cancelled'),
            function TEXT NOT NULL,
            queue TEXT NOT NULL,
            pool TEXT NOT NULL CHECK (
                pool = 'thread' OR pool = 'process' OR pool = 'async'),
            priority INTEGER NOT NULL,
            attempt INTEGER NOT NULL,
            created_at INTEGER NOT NULL,
            not_before INTEGER,
            -- Of a queued job that is not due yet, as far as the store has looked: not_before.
            wakes_at INTEGER,
            started_at INTEGER,
            ended_at INTEGER,
            expires_at INTEGER,
            items_done INTEGER NOT NULL,
            items_failed INTEGER NOT NULL,
            -- Items of a map; NULL of a call.
            item_count INTEGER,
            idempotency_key TEXT,
            traceparent TEXT,
            -- JSON array; NULL for none. The submission lacks those of the function.
            tags TEXT,
            failure BLOB,
            failed_attempts BLOB,
            submission BLOB NOT NULL,
            result BLOB
        );
        CREATE TABLE job_tags (
            tag TEXT NOT NULL, bucket INTEGER NOT NULL, job INTEGER NOT NULL,
            PRIMARY KEY (tag, bucket, job)) WITHOUT ROWID
        """

    private static let move = """
        INSERT INTO buckets (state, function, queue, pool, priority, delayed, count)
            SELECT state, function, queue, pool, iif(state = 'queued', priority, 0) AS priority_in,
                not_before IS NOT NULL AS delayed_in, count(*)
            FROM jobs_1 GROUP BY state, function, queue, pool, priority_in, delayed_in;
        INSERT INTO jobs (
                id, uuid_low, bucket, state, function, queue, pool, priority, attempt, created_at,
                not_before, wakes_at, started_at, ended_at, expires_at, items_done, items_failed,
                item_count, idempotency_key, traceparent, tags, failure, failed_attempts, submission, result)
            SELECT id, uuid_low,
                (SELECT id FROM buckets WHERE state = old.state AND function = old.function
                    AND queue = old.queue AND pool = old.pool
                    AND priority = iif(old.state = 'queued', old.priority, 0)
                    AND delayed = (old.not_before IS NOT NULL)),
                state, function, queue, pool, priority, attempt, created_at, not_before,
                not_before, started_at, ended_at, expires_at, items_done, items_failed,
                item_count(submission), idempotency_key, traceparent,
                all_tags(submission,
                    (SELECT json_group_array(tag) FROM job_tags_1 WHERE job = old.id)),
                failure, failed_attempts, submission, result
            FROM jobs_1 AS old ORDER BY id;
        INSERT INTO job_tags (tag, bucket, job)
            SELECT tag, bucket, job FROM job_tags_1 JOIN jobs ON jobs.id = job;
        DROP TABLE job_tags_1;
        DROP TABLE jobs_1
        """

    private static let indexes = """
        -- Its entries end with the id: newest first or oldest first within a bucket.
        CREATE INDEX jobs_bucket ON jobs (bucket);
        CREATE INDEX jobs_delayed ON jobs (wakes_at) WHERE wakes_at IS NOT NULL;
        CREATE UNIQUE INDEX jobs_key ON jobs (idempotency_key) WHERE idempotency_key IS NOT NULL;
        CREATE INDEX jobs_expiring ON jobs (expires_at) WHERE expires_at IS NOT NULL
        """

    /// How many items a submission maps; NULL of a call, or when it cannot be read.
    private static let itemCount = DatabaseFunction("item_count", argumentCount: 1) { values in
        guard case .map(_, let count, _)? = submission(values[0])?.work else { return nil }
        return count
    }

    /// The tags of a submission in their order, then what else is stored, as a JSON array.
    private static let allTags = DatabaseFunction("all_tags", argumentCount: 2) { values in
        let stored = JobRow.tags(String.fromDatabaseValue(values[1]))
        let sent = (submission(values[0])?.tags ?? []).filter(stored.contains)
        return JobRow.text(sent + stored.filter { !sent.contains($0) })
    }

    private static func submission(_ value: DatabaseValue) -> JobSubmission? {
        Data.fromDatabaseValue(value).flatMap { bytes in
            // A damaged one is found by whoever reads the job.
            try? JobSubmission(parsing: RawJSON(trusted: Array(bytes)[...]))
        }
    }
}
