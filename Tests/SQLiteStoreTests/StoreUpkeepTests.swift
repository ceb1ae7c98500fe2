import Foundation
import GRDB
import Jobs
import RawJSON
import SQLiteStore
import Testing

/// Backup, compaction, the doctor, and what the store does to itself.
@Suite struct StoreUpkeepTests {
    private let make = JobMaker()

    /// A folder with a store of some jobs that have ended, some with tags and items.
    private func withFilledFolder(_ body: (String, [Job]) async throws -> Void) async throws {
        try await withFolder { folder in
            var jobs = try (0..<40).map { _ in
                try make.job(#"{"function":"f","map":[1,2],"tags":["a","b"]}"#)
            }
            let store = try SQLiteJobStore(directory: folder)
            _ = try await store.insert(jobs)
            let items = ItemSegment(first: 0, count: 2, results: Array("1,2".utf8))
            for index in jobs.indices.dropFirst(10) {
                jobs[index].state = .succeeded
                jobs[index].endedAt = make.start
                jobs[index].expiresAt = make.start.adding(seconds: 60)
                try await store.update(jobs[index], adding: [items])
            }
            store.close()
            try await body(folder, jobs)
        }
    }

    private func change(_ folder: String, _ sql: String) throws {
        let queue = try DatabaseQueue(path: folder + "/martlet.sqlite")
        try queue.write { try $0.execute(sql: sql) }
        try queue.close()
    }

    // MARK: Doctor

    @Test func `a store that was used is sound`() async throws {
        try await withFilledFolder { folder, jobs in
            let report = try StoreDoctor.examine(folder)
            #expect(report.findings.map(\.text) == [])
            #expect(report.jobs == jobs.count)
            #expect(!report.isInUse)
        }
    }

    @Test(arguments: [
        ("UPDATE buckets SET count = count + 1", "count their jobs"),
        ("DELETE FROM buckets", "not theirs"),
        ("UPDATE jobs SET bucket = 99 WHERE id % 2 = 0", "not theirs"),
        ("DELETE FROM job_tags WHERE job % 2 = 0", "not found by lists"),
        ("INSERT INTO job_tags VALUES ('x', 1, 5)", "belong to no job"),
        ("INSERT INTO items VALUES (5, 0, 1, x'31', NULL)", "belong to no job"),
        ("INSERT INTO logs (job, text) VALUES (5, x'31')", "belong to no job"),
        ("UPDATE jobs SET wakes_at = 1 WHERE state = 'succeeded'", "not theirs"),
        ("UPDATE jobs SET expires_at = NULL", "without a time"),
        ("UPDATE jobs SET expires_at = 5", "would expire"),
    ])
    func `the doctor finds and mends what jobs tell`(damage: String, finding: String) async throws {
        try await withFilledFolder { folder, jobs in
            try change(folder, damage)
            let found = try StoreDoctor.examine(folder).findings
            #expect(found.contains { $0.text.contains(finding) }, "\(found)")
            let report = try StoreDoctor.repair(folder)
            #expect(report.findings.allSatisfy { $0.isMended }, "\(report.findings)")
            #expect(report.findings.count == found.count)
            let copy = try #require(report.copy)
            #expect(FileManager.default.fileExists(atPath: copy))
            #expect(try StoreDoctor.examine(folder).findings.isEmpty)
            let store = try SQLiteJobStore(directory: folder)
            #expect(try await store.list(JobQuery(tag: "a", limit: 100)).count == jobs.count)
            #expect(try await store.counts().map(\.count) == [10, 30])
            store.close()
        }
    }

    @Test(arguments: [
        ("UPDATE jobs SET submission = x'7b' WHERE id % 2 = 0", "cannot be read"),
        ("UPDATE jobs SET result = x'7b'", "not JSON"),
        ("INSERT INTO items SELECT job, 1, 1, x'31', NULL FROM items", "overlap"),
    ])
    func `what jobs do not tell is named and left`(damage: String, finding: String) async throws {
        try await withFilledFolder { folder, _ in
            try change(folder, damage)
            let report = try StoreDoctor.repair(folder)
            #expect(report.findings.count { $0.text.contains(finding) && !$0.isMended } == 1)
        }
    }

    @Test func `a damaged page is found`() async throws {
        try await withFilledFolder { folder, _ in
            let path = folder + "/martlet.sqlite"
            let file = try #require(FileHandle(forUpdatingAtPath: path))
            let pages = try file.seekToEnd() / 4096
            for page in 2..<pages {
                try file.seek(toOffset: page * 4096)
                try file.write(contentsOf: Data(repeating: 0x5a, count: 100))
            }
            try file.close()
            let report = try StoreDoctor.examine(folder)
            #expect(!report.findings.isEmpty)
        }
    }

    @Test func `a server's store is looked at but not repaired`() async throws {
        try await withFilledFolder { folder, _ in
            try change(folder, "UPDATE buckets SET count = count + 1")
            let store = try SQLiteJobStore(directory: folder)
            let report = try StoreDoctor.examine(folder)
            #expect(report.isInUse)
            #expect(report.findings.count == 1)
            #expect(throws: StoreError.self) { _ = try StoreDoctor.repair(folder) }
            store.close()
        }
    }

    // MARK: Backup and compaction

    @Test func `a backup of a store in use is whole`() async throws {
        try await withFilledFolder { folder, jobs in
            let store = try SQLiteJobStore(directory: folder)
            let late = try make.job()
            _ = try await store.insert([late])  // in the log, not yet in the file
            let copy = folder + "/copy"
            try FileManager.default.createDirectory(
                atPath: copy, withIntermediateDirectories: true)
            let bytes = try StoreUpkeep.backUp(folder, to: copy + "/martlet.sqlite")
            #expect(bytes > 4096)
            store.close()
            #expect(try StoreDoctor.examine(copy).findings.isEmpty)
            let restored = try SQLiteJobStore(directory: copy)
            #expect(try await restored.job(late.id)?.state == .queued)
            #expect(try await restored.counts().map(\.count) == [11, 30])
            restored.close()
        }
    }

    @Test func `a backup takes no file's place`() async throws {
        try await withFilledFolder { folder, _ in
            let file = folder + "/there"
            try Data("mine".utf8).write(to: URL(fileURLWithPath: file))
            #expect(throws: StoreError.self) { _ = try StoreUpkeep.backUp(folder, to: file) }
            #expect(try String(contentsOfFile: file, encoding: .utf8) == "mine")
            #expect(throws: StoreError.self) {
                _ = try StoreUpkeep.backUp(folder, to: folder + "/none/copy")
            }
            #expect(throws: StoreError.self) {
                _ = try StoreUpkeep.backUp(folder + "/nowhere", to: folder + "/copy")
            }
            #expect(!FileManager.default.fileExists(atPath: folder + "/nowhere"))
        }
    }

    @Test func `compaction makes the file smaller, but not under a server`() async throws {
        try await withFilledFolder { folder, jobs in
            let store = try SQLiteJobStore(directory: folder)
            let text = String(repeating: "x", count: 10_000)
            let large = try (0..<200).map { _ in
                try make.job(#"{"function":"f","args":["\#(text)"]}"#)
            }
            _ = try await store.insert(large)
            for job in large { #expect(try await store.delete(job.id)) }
            #expect(throws: StoreError.self) { _ = try StoreUpkeep.compact(folder) }
            store.close()
            let (before, after) = try StoreUpkeep.compact(folder)
            #expect(after < before / 4, "\(before) \(after)")
            #expect(try StoreDoctor.examine(folder).jobs == jobs.count)
        }
    }

    // MARK: The store's own care

    @Test func `a store with a bound drops the oldest results first`() async throws {
        try await withFolder { folder in
            var settings = SQLiteJobStore.Settings()
            settings.maxBytes = 4 << 20
            let store = try SQLiteJobStore(directory: folder, settings: settings)
            defer { store.close() }
            let text = "\"" + String(repeating: "x", count: 20_000) + "\""
            var ended: [Job] = []
            // Until there is no room: nothing has made any yet.
            do throws(StoreError) {
                while ended.count < 1000 {
                    guard var job = try? make.job() else { break }
                    _ = try await store.insert([job])
                    job.state = .succeeded
                    job.endedAt = make.start
                    job.expiresAt = make.start.adding(seconds: 1e9)
                    job.result = RawJSON(trusted: Array(text.utf8)[...])
                    try await store.update(job, adding: [])
                    ended.append(job)
                }
                Issue.record("the store never became full")
            } catch {
                guard case .full = error else { throw error }
            }
            #expect((100...210).contains(ended.count))
            try await store.prune(expiredBefore: make.start, forgottenBefore: make.start)
            var results: [Bool] = []
            for job in ended { results.append(try await store.job(job.id)?.result != nil) }
            let dropped = results.prefix { !$0 }.count
            #expect((ended.count / 10...ended.count * 9 / 10).contains(dropped))
            #expect(results.dropFirst(dropped).allSatisfy { $0 })
            #expect(try await store.list(JobQuery(limit: 1000)).count >= ended.count)
            _ = try await store.insert([try make.job()])
        }
    }

    @Test func `folders above the data folder are made`() async throws {
        try await withFolder { folder in
            let store = try SQLiteJobStore(directory: folder + "/a/b/c/")
            _ = try await store.insert([try make.job()])
            store.close()
            #expect(try StoreDoctor.examine(folder + "/a/b/c").jobs == 1)
        }
    }

    @Test func `what was given before the end is committed`() async throws {
        try await withFolder { folder in
            let store = try SQLiteJobStore(directory: folder)
            let jobs = try (0..<200).map { _ in try make.job() }
            _ = try await store.insert(jobs)
            for job in jobs { store.noteStarted(job.id, attempt: 1, at: make.start) }
            store.close()
            let again = try SQLiteJobStore(directory: folder)
            #expect(
                try await again.counts() == [
                    QueueCount(queue: "default", state: .running, count: 200)
                ])
            again.close()
        }
    }

    @Test func `tags and queue of the function outlive the server`() async throws {
        try await withFolder { folder in
            let store = try SQLiteJobStore(directory: folder)
            let made = try make.job()
            var submission = made.submission
            submission.queue = "slow"
            submission.tags = ["of the function"]
            let job = Job(
                id: made.id, submission: submission, pool: .thread, createdAt: make.start)
            _ = try await store.insert([job])
            store.close()
            let again = try SQLiteJobStore(directory: folder)
            let found = try await again.job(job.id)
            #expect(found?.submission.tags == ["of the function"])
            #expect(found?.submission.queue == "slow")
            again.close()
        }
    }

    @Test func `a job that is damaged keeps nobody else from running`() async throws {
        try await withFolder { folder in
            let jobs = try (0..<3).map { _ in try make.job() }
            var store = try SQLiteJobStore(directory: folder)
            _ = try await store.insert(jobs)
            store.close()
            try change(
                folder, "UPDATE jobs SET submission = x'7b' WHERE id = \(jobs[1].id.sequence)")
            store = try SQLiteJobStore(directory: folder)
            let waiting = try await store.queued(
                in: .process, dueAt: make.start, limit: 9, maxBytes: 9999
            ) { _ in false }
            #expect(waiting.map(\.id) == [jobs[0].id, jobs[2].id])
            await #expect(throws: StoreError.self) { _ = try await store.job(jobs[1].id) }
            #expect(try await store.list(JobQuery()).count == 3)
            store.close()
        }
    }
}
