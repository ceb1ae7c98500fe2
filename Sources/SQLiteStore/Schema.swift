import GRDB

/// The tables, version by version.
enum Schema {
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1") { database in
            try database.execute(sql: version1)
        }
        migrator.registerMigration("2", migrate: BucketMigration.run)
        migrator.registerMigration("3") { database in
            try database.execute(sql: itemPieces)
        }
        migrator.registerMigration("4") { database in
            try database.execute(sql: likeness)
        }
        migrator.registerMigration("5") { database in
            try database.execute(sql: payloads)
        }
        migrator.registerMigration("6") { database in
            // Slots of its pool that a call takes; NULL for one.
            try database.execute(sql: "ALTER TABLE jobs ADD COLUMN cpus INTEGER")
        }
        return migrator
    }

    /// Large maps, whose jobs' submissions have an empty array for them.
    private static let itemPieces = """
        -- Consecutive items, with commas between.
        CREATE TABLE item_pieces (
            job INTEGER NOT NULL,
            first INTEGER NOT NULL,
            count INTEGER NOT NULL,
            items BLOB NOT NULL,
            UNIQUE (job, first)
        );
        -- Maps whose items have not all come.
        CREATE TABLE uploads (job INTEGER PRIMARY KEY)
        """

    /// `id` is `JobID.sequence`: rows are appended, and newest first is a walk from the end.
    ///
    /// The checks are chains of OR, because for `IN` SQLite fills a table at every row.
    private static let version1 = """
        CREATE TABLE jobs (
            id INTEGER PRIMARY KEY,
            uuid_low INTEGER NOT NULL,
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
            started_at INTEGER,
            ended_at INTEGER,
            expires_at INTEGER,
            items_done INTEGER NOT NULL,
            items_failed INTEGER NOT NULL,
            idempotency_key TEXT,
            traceparent TEXT,
            submission BLOB NOT NULL,
            result BLOB,
            failure BLOB,
            failed_attempts BLOB
        );
        -- What the dispatcher takes next; holds only the jobs that wait.
        CREATE INDEX jobs_queued ON jobs (pool, priority DESC, id) WHERE state = 'queued';
        CREATE UNIQUE INDEX jobs_key ON jobs (idempotency_key) WHERE idempotency_key IS NOT NULL;
        CREATE INDEX jobs_expiring ON jobs (expires_at) WHERE expires_at IS NOT NULL;
        CREATE TABLE job_tags (
            tag TEXT NOT NULL, job INTEGER NOT NULL, PRIMARY KEY (tag, job)) WITHOUT ROWID;
        CREATE INDEX job_tags_job ON job_tags (job);
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
        -- What jobs have printed, some lines a row.
        CREATE TABLE logs (id INTEGER PRIMARY KEY, job INTEGER NOT NULL, text BLOB NOT NULL);
        CREATE INDEX logs_job ON logs (job);
        """

    /// What submissions are compared by; see `Likeness`.
    private static let likeness = """
        ALTER TABLE jobs ADD COLUMN unique_key BLOB;
        ALTER TABLE jobs ADD COLUMN cache_key BLOB;
        CREATE INDEX jobs_unique ON jobs (unique_key)
            WHERE unique_key IS NOT NULL AND (state = 'queued' OR state = 'running');
        CREATE INDEX jobs_cached ON jobs (cache_key, ended_at)
            WHERE cache_key IS NOT NULL AND state = 'succeeded';
        -- Idempotency keys of batches, and the ids of their jobs, 16 bytes each.
        CREATE TABLE batches (
            key TEXT PRIMARY KEY,
            created_at INTEGER NOT NULL,
            fingerprint BLOB NOT NULL,
            jobs BLOB NOT NULL
        );
        CREATE INDEX batches_created ON batches (created_at)
        """

    /// Where a job's `submission` or `result` is text instead of a blob, it is the name of the file
    /// that holds it; see `PayloadFolder`.
    private static let payloads = """
        -- The files that jobs name.
        CREATE TABLE payloads (
            file TEXT PRIMARY KEY,
            job INTEGER NOT NULL,
            bytes INTEGER NOT NULL
        ) WITHOUT ROWID
        """
}
