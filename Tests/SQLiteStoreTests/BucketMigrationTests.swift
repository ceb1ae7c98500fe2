import Foundation
import GRDB
import Jobs
import RawJSON
import Testing

@testable import SQLiteStore

/// A store of the first version, opened by this one.
@Suite struct BucketMigrationTests {
    private let make = JobMaker()

    /// Writes a job as the first version did.
    private func insert(_ job: Job, tags: [String] = [], _ database: Database) throws {
        try database.execute(
            sql: """
                INSERT INTO jobs (id, uuid_low, state, function, queue, pool, priority, attempt,
                    created_at, not_before, started_at, ended_at, expires_at, items_done,
                    items_failed, idempotency_key, traceparent, submission, result)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, 0, 0, ?, ?, ?, ?)
                """,
            arguments: [
                job.id.sequence, Int64(bitPattern: job.id.low), job.state.rawValue,
                job.submission.function, "default", job.pool.rawValue, job.submission.priority,
                job.attempt, job.createdAt.microseconds, job.notBefore?.microseconds,
                job.startedAt?.microseconds, job.endedAt?.microseconds, job.idempotencyKey,
                job.traceparent, Data(job.submission.document.bytes),
                job.result.map { Data($0.bytes) },
            ])
        for tag in job.submission.tags + tags {
            try database.execute(
                sql: "INSERT INTO job_tags VALUES (?, ?)", arguments: [tag, job.id.sequence])
        }
    }

    private func waiting(_ store: SQLiteJobStore, at time: Timestamp) async throws -> [Job] {
        try await store.queued(in: .process, dueAt: time, limit: 9, maxBytes: 9999) { _ in false }
    }

    private func withOldStore(
        _ fill: (Database) throws -> Void, _ body: (SQLiteJobStore, String) async throws -> Void,
    ) async throws {
        try await withFolder { folder in
            let queue = try DatabaseQueue(path: folder + "/martlet.sqlite")
            try Schema.migrator.migrate(queue, upTo: "1")
            try queue.write(fill)
            try queue.close()
            let store = try SQLiteJobStore(directory: folder)
            try await body(store, folder)
            store.close()
            #expect(try StoreDoctor.examine(folder).findings.map(\.text) == [])
        }
    }

    @Test func `all jobs are there after it`() async throws {
        var done = try make.job(#"{"function":"f","args":[1e400],"tags":["z","a"]}"#, key: "k")
        done.state = .succeeded
        (done.startedAt, done.endedAt) = (make.start, make.start)
        done.result = RawJSON(trusted: Array("12345678901234567890".utf8)[...])
        done.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        let map = try make.job(#"{"function":"g","map":[1,2,3],"priority":7}"#)
        let (old, finished) = (done, map)
        try await withOldStore { database in
            try insert(old, tags: ["of the function"], database)
            try insert(finished, database)
            try database.execute(
                sql: "INSERT INTO items VALUES (?, 0, 1, x'31', NULL)",
                arguments: [finished.id.sequence])
            try database.execute(
                sql: "INSERT INTO logs (job, text) VALUES (?, x'610a')",
                arguments: [old.id.sequence])
        } _: { store, _ in
            let kept = try #require(try await store.job(old.id))
            #expect(kept.state == .succeeded)
            #expect(kept.result == old.result)
            #expect(kept.traceparent == old.traceparent)
            #expect(kept.submission.document == old.submission.document)
            #expect(kept.submission.tags == ["z", "a", "of the function"])
            #expect(kept.expiresAt != nil)
            #expect(try await store.log(old.id, after: 0, maxBytes: 9).text == Array("a\n".utf8))
            #expect(try await store.itemRanges(finished.id) == [0..<1])
            let listed = try await store.list(JobQuery(function: "g", limit: 5))
            guard case .map(_, 3, _)? = listed.first?.submission.work else {
                Issue.record("not the map: \(listed)")
                return
            }
            for tag in kept.submission.tags {
                #expect(try await store.list(JobQuery(tag: tag, limit: 5)).map(\.id) == [old.id])
            }
            let again = try make.job(#"{"function":"f"}"#, key: "k")
            guard case .existing(let same, .idempotencyKey) = try await store.insert([again])[0]
            else {
                Issue.record("the key is lost")
                return
            }
            #expect(same.id == old.id)
        }
    }

    @Test func `what waited or ran goes on`() async throws {
        let due = make.start.adding(seconds: 60)
        let jobs = try [
            make.job(), make.job(notBefore: due), make.job(), make.job(),
        ]
        try await withOldStore { database in
            for (job, state) in zip(jobs, [JobState.queued, .queued, .running, .cancelling]) {
                var job = job
                job.state = state
                if state != .queued { job.notBefore = due }  // the first version left it there
                try insert(job, database)
            }
        } _: { store, _ in
            let report = try await store.recover(at: make.start, keepSeconds: 60)
            #expect(report.requeued == 1)
            #expect(
                try await store.counts().filter { !$0.state.isEnd }
                    == [QueueCount(queue: "default", state: .queued, count: 3)])
            #expect(try await store.job(jobs[3].id)?.state == .cancelled)
            let ready = try await waiting(store, at: make.start)
            #expect(ready.map(\.id) == [jobs[0].id, jobs[2].id])
            #expect(try await store.nextDue(after: make.start) == due)
            let later = try await waiting(store, at: due)
            #expect(later.map(\.id) == [jobs[0].id, jobs[1].id, jobs[2].id])
            #expect(later[1].notBefore == due)
        }
    }

    @Test func `a doctor says of an old store that it is one`() async throws {
        try await withFolder { folder in
            let queue = try DatabaseQueue(path: folder + "/martlet.sqlite")
            try Schema.migrator.migrate(queue, upTo: "1")
            try queue.close()
            let found = try StoreDoctor.examine(folder).findings.map(\.text)
            #expect(found.count == 1 && found[0].contains("earlier version"))
        }
    }
}
