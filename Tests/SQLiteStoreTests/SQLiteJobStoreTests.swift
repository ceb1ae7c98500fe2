import Foundation
import Jobs
import RawJSON
import SQLiteStore
import Testing

/// A class, whose folder goes with it after each test.
@Suite final class SQLiteJobStoreTests {
    private let directory = FileManager.default.temporaryDirectory
        .appendingPathComponent("martlet-\(UUID().uuidString)").path
    private let ids = JobIDGenerator()

    // A test need not have made it.
    deinit { try? FileManager.default.removeItem(atPath: directory) }

    private func job(
        _ members: String = "", key: String? = nil, due: Timestamp? = nil,
    ) throws -> Job {
        let document = try RawJSON(validating: Array("{\"function\":\"f\"\(members)}".utf8))
        return Job(
            id: ids.next(at: .now()), submission: try JobSubmission(parsing: document),
            pool: .thread, createdAt: .now(), notBefore: due, idempotencyKey: key)
    }

    @Test func `what is kept is there after a reopening`() async throws {
        var job = try job(",\"args\":[12345678901234567890, 1e400]")
        do {
            let store = try SQLiteJobStore(directory: directory)
            _ = try await store.insert([job])
            job.state = .succeeded
            job.result = try RawJSON(validating: Array("[1.10]".utf8))
            try await store.update(
                job, adding: [ItemSegment(first: 0, count: 2, results: Array("1,2".utf8))])
            store.close()
        }
        let store = try SQLiteJobStore(directory: directory)
        let found = try #require(try await store.job(job.id))
        #expect(found.state == .succeeded)
        #expect(found.result == job.result)
        #expect(found.submission.document == job.submission.document)
        #expect(try await store.itemRanges(job.id) == [0..<2])
        store.close()
    }

    @Test func `jobs lie in their buckets whichever way they come to their ends`() async throws {
        let store = try SQLiteJobStore(directory: directory)
        let jobs = try (0..<5).map { number in
            try job(number == 4 ? ",\"tags\":[\"t\"]" : "")
        }
        _ = try await store.insert(jobs)
        let now = Timestamp.now()
        // The first has its end at once, the second after its start, the third after a retry; the
        // fourth is forgotten before, and the fifth has a tag.
        store.noteStarted(jobs[1].id, attempt: 1, at: now)
        var retried = jobs[2]
        retried.attempt = 1
        try await store.update(retried, adding: [])
        #expect(try await store.delete(jobs[3].id))
        for var job in jobs {
            job.state = .succeeded
            job.attempt = 1
            (job.startedAt, job.endedAt, job.expiresAt) = (now, now, now.adding(seconds: 60))
            try await store.update(job, adding: [])
        }
        #expect(
            try await store.counts() == [QueueCount(queue: "default", state: .succeeded, count: 4)])
        #expect(try await store.job(jobs[3].id) == nil)
        #expect(try await store.list(JobQuery(tag: "t")).map(\.state) == [.succeeded])
        store.close()
        #expect(try StoreDoctor.examine(directory).findings.map(\.text) == [])
    }

    @Test func `a second server is refused by name`() throws {
        let store = try SQLiteJobStore(directory: directory)
        let error = #expect(throws: StoreError.self) { try SQLiteJobStore(directory: directory) }
        #expect(error?.description.contains(directory) == true)
        store.close()
    }

    @Test func `queued jobs come by priority, then age, and only when due`() async throws {
        let store = try SQLiteJobStore(directory: directory)
        let jobs = [
            try job(), try job(",\"priority\":5"), try job(",\"priority\":5"),
            try job(due: Timestamp.now().adding(seconds: 3600)),
        ]
        _ = try await store.insert(jobs)
        let queued = try await store.queued(
            in: .thread, dueAt: .now(), limit: 10, maxBytes: 9999
        ) { _ in false }
        #expect(queued.map(\.id) == [jobs[1].id, jobs[2].id, jobs[0].id])
        #expect(try await store.nextDue(after: .now()) == jobs[3].notBefore)
        store.close()
    }

    @Test func `the same key brings the first job`() async throws {
        let store = try SQLiteJobStore(directory: directory)
        let first = try job(key: "k")
        _ = try await store.insert([first])
        let outcome = try #require(try await store.insert([try job(key: "k")]).first)
        guard case .existing(let existing, .idempotencyKey) = outcome else {
            Issue.record("a second job was stored")
            return
        }
        #expect(existing.id == first.id)
        store.close()
    }

    @Test func `a running job is queued again at the start, its attempt counted`() async throws {
        let store = try SQLiteJobStore(directory: directory)
        var job = try job()
        _ = try await store.insert([job])
        job.state = .running
        job.attempt = 1
        try await store.update(job, adding: [])
        let report = try await store.recover(at: .now(), keepSeconds: 60)
        #expect(report == RecoveryReport(requeued: 1, lastSequence: job.id.sequence))
        #expect(try await store.job(job.id)?.attempt == 1)
        store.close()
    }

    @Test func `many callers share few commits`() async throws {
        let store = try SQLiteJobStore(directory: directory)
        let jobs = try (0..<500).map { _ in try job() }
        let before = store.commitCount
        try await withThrowingTaskGroup { group in
            for job in jobs { group.addTask { _ = try await store.insert([job]) } }
            try await group.waitForAll()
        }
        #expect(store.commitCount - before < 500)
        #expect(try await store.list(JobQuery(limit: 1000)).count == 500)
        store.close()
    }

    @Test func `a damaged file is refused and left alone`() throws {
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: true)
        let file = URL(fileURLWithPath: directory + "/martlet.sqlite")
        try Data(repeating: 7, count: 5000).write(to: file)
        #expect(throws: StoreError.self) { try SQLiteJobStore(directory: directory) }
        #expect(try Data(contentsOf: file).count == 5000)
    }
}
