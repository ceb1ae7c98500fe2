import GRDB

/// The tables, version by version.
enum Schema {
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1") { database in
            try database.execute(sql: version1)
        }
        return migrator
    }

    /// `id` is `JobID.sequence`: rows are appended, and newest first is a walk from the end.
    ///
    /// The checks are chains of OR, because for `IN` SQLite fills a table at every row. What may be
    /// large comes last in a row: lists do not read so far.
    private static let version1 = """
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
            -- Of a queued job: it is not due yet, as far as the store has looked.
            not_before INTEGER,
            started_at INTEGER,
            ended_at INTEGER,
            expires_at INTEGER,
            items_done INTEGER NOT NULL,
            items_failed INTEGER NOT NULL,
            -- Items of a map; NULL of a call.
            item_count INTEGER,
            idempotency_key TEXT,
            -- JSON array; NULL for none. The submission lacks those of the function.
            tags TEXT,
            failure BLOB,
            submission BLOB NOT NULL,
            result BLOB
        );
        -- Its entries end with the id: newest first or oldest first within a bucket.
        CREATE INDEX jobs_bucket ON jobs (bucket);
        CREATE INDEX jobs_delayed ON jobs (not_before)
            WHERE state = 'queued' AND not_before IS NOT NULL;
        CREATE UNIQUE INDEX jobs_key ON jobs (idempotency_key) WHERE idempotency_key IS NOT NULL;
        CREATE INDEX jobs_expiring ON jobs (expires_at) WHERE expires_at IS NOT NULL;
        CREATE TABLE job_tags (
            tag TEXT NOT NULL, bucket INTEGER NOT NULL, job INTEGER NOT NULL,
            PRIMARY KEY (tag, bucket, job)) WITHOUT ROWID;
        -- Results of consecutive items of a map job.
        CREATE TABLE items (
            job INTEGER NOT NULL,
            first INTEGER NOT NULL,
            count INTEGER NOT NULL,
            results BLOB NOT NULL,
            failures BLOB,
            UNIQUE (job, first)
        );
        -- In the order of writing.
        CREATE INDEX items_written ON items (job);
        """
}
