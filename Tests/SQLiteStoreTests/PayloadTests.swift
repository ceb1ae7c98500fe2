import Foundation
import Glibc
import GRDB
import Jobs
import RawJSON
import SQLiteStore
import Testing
import Threads

/// What is too large for the database lies in files beside it, which come and go with their jobs.
@Suite struct PayloadTests {
    private let make = JobMaker()
    private let large = "\"" + String(repeating: "x", count: 40_000) + "\""

    private func open(_ folder: String, maxBytes: Int64? = nil) throws -> SQLiteJobStore {
        var settings = SQLiteJobStore.Settings()
        settings.inlineBytes = 1000
        settings.maxBytes = maxBytes
        return try SQLiteJobStore(directory: folder, settings: settings)
    }

    /// The files of a store, which has been closed: then what was to go has gone.
    private func files(_ folder: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder + "/payloads").sorted()
    }

    private func largeJob() throws -> Job {
        try make.job(#"{"function":"f","args":[\#(large)]}"#)
    }

    private func end(_ job: Job, in store: SQLiteJobStore, with result: String) async throws {
        var job = job
        job.state = .succeeded
        job.endedAt = make.start
        job.expiresAt = make.start.adding(seconds: 60)
        job.result = RawJSON(trusted: Array(result.utf8)[...])
        try await store.update(job, adding: [])
    }

    @Test func `large texts are files and come back as they were sent`() async throws {
        try await withFolder { folder in
            var store = try open(folder)
            let (job, small) = (try largeJob(), try make.job())
            _ = try await store.insert([job, small])
            try await end(job, in: store, with: large)
            try await end(small, in: store, with: "1")
            #expect(store.statistics.bytes > 10_000)
            store.close()
            let names = try files(folder)
            #expect(names.count == 2)
            #expect(names.allSatisfy { $0.hasPrefix(job.id.description) })

            store = try open(folder)
            let found = try #require(try await store.job(job.id))
            #expect(found.submission.document == job.submission.document)
            #expect(found.result == nil)
            #expect(found.unreadResultBytes == large.utf8.count)
            #expect(found.isResultInFile)
            let read = try await result(of: found, in: store)
            #expect(read?.bytes.elementsEqual(large.utf8) == true)
            let waiting = try await store.queued(
                in: .process, dueAt: make.start, limit: 9, maxBytes: 999_999
            ) { _ in false }
            #expect(waiting.isEmpty)
            #expect(try StoreDoctor.examine(folder).findings.isEmpty)
            #expect(try await store.delete(job.id))
            store.close()
            #expect(try files(folder).isEmpty)
            #expect(try StoreDoctor.examine(folder).findings.isEmpty)
        }
    }

    @Test func `a new result takes the place of the old, and expiry removes it`() async throws {
        try await withFolder { folder in
            var store = try open(folder)
            let job = try make.job()
            _ = try await store.insert([job])
            for _ in 0..<3 { try await end(job, in: store, with: large) }
            store.close()
            #expect(try files(folder).count == 1)
            store = try open(folder)
            try await store.prune(
                expiredBefore: make.start.adding(seconds: 99), forgottenBefore: make.start)
            #expect(try await store.job(job.id)?.resultBytes == nil)
            store.close()
            #expect(try files(folder).isEmpty)
        }
    }

    @Test func `a job that is not stored leaves no file`() async throws {
        try await withFolder { folder in
            let store = try open(folder)
            var twins: [Job] = []
            for _ in 0..<2 {
                var job = try largeJob()
                job.keys.unique = [1, 2, 3]
                twins.append(job)
            }
            let outcomes = try await store.insert(twins)
            #expect(outcomes.map(\.isStored) == [true, false])
            var gone = try make.job()
            gone.state = .succeeded
            gone.result = RawJSON(trusted: Array(large.utf8)[...])
            try await store.update(gone, adding: [])
            // One whose id is there already undoes its transaction, not that of others beside it.
            var copy = twins[0]
            copy.keys = CallKeys()
            let double = copy
            await #expect(throws: StoreError.self) { _ = try await store.insert([double]) }
            store.close()
            #expect(try files(folder).count == 1)
            let again = try open(folder)
            #expect(
                try await again.job(twins[0].id)?.submission.document
                    == twins[0].submission.document)
            again.close()
        }
    }

    @Test func `what a crash has left without a row goes at the next start`() async throws {
        try await withFolder { folder in
            var store = try open(folder)
            let job = try largeJob()
            _ = try await store.insert([job])
            store.close()
            let kept = try files(folder)
            // As if the server had ended between the file and the row, or the row and the file.
            for name in ["half", "whole"] {
                try Data("[1".utf8).write(to: URL(fileURLWithPath: "\(folder)/payloads/\(name)"))
            }
            let report = try StoreDoctor.examine(folder)
            #expect(report.findings.map(\.text) == ["2 files belong to no job"])
            store = try open(folder)
            #expect(try files(folder) == kept)
            #expect(try await store.job(job.id)?.submission.document == job.submission.document)
            store.close()
        }
    }

    @Test func `the doctor names missing files and removes those of no job`() async throws {
        try await withFolder { folder in
            let store = try open(folder)
            _ = try await store.insert([try largeJob(), try largeJob(), try largeJob()])
            store.close()
            let names = try files(folder)
            unlink("\(folder)/payloads/\(names[0])")
            truncate("\(folder)/payloads/\(names[1])", 17)
            try Data("1".utf8).write(to: URL(fileURLWithPath: "\(folder)/payloads/stray"))
            let report = try StoreDoctor.repair(folder)
            let left = report.findings.filter { !$0.isMended }.map(\.text)
            #expect(left.contains { $0.hasPrefix("2 files are not there or cut short") })
            #expect(left.contains { $0.hasPrefix("2 jobs cannot be read") })
            #expect(
                report.findings.filter(\.isMended).map(\.text) == ["1 files belong to no job"])
            #expect(try files(folder) == [names[1], names[2]])
        }
    }

    @Test func `files count for the bound, and are refused at it`() async throws {
        try await withFolder { folder in
            var store = try open(folder, maxBytes: 2 << 20)
            var taken: [Job] = []
            do throws(StoreError) {
                while taken.count < 1000 {
                    guard let job = try? largeJob() else { break }
                    _ = try await store.insert([job])
                    taken.append(job)
                }
                Issue.record("the store never became full")
            } catch {
                guard case .full = error else { throw error }
            }
            #expect((30...52).contains(taken.count), "\(taken.count)")
            // No more than the files leave for the database.
            await #expect(throws: StoreError.self) {
                for _ in 0..<100 {
                    let text = String(repeating: "y", count: 900)
                    let document = #"{"function":"f","args":["\#(text)"]}"#
                    _ = try await store.insert(try (0..<20).map { _ in try make.job(document) })
                }
            }
            store.close()
            #expect(try files(folder).count == taken.count)
            store = try open(folder, maxBytes: 2 << 20)
            let refused = try largeJob()
            await #expect(throws: StoreError.self) { _ = try await store.insert([refused]) }
            for job in taken.prefix(5) { #expect(try await store.delete(job.id)) }
            _ = try await store.insert([try largeJob()])
            // Ended jobs make room with their files.
            for job in taken.dropFirst(5).prefix(20) { try await end(job, in: store, with: "1") }
            try await store.prune(expiredBefore: make.start, forgottenBefore: make.start)
            store.close()
            #expect(try files(folder).count < taken.count - 5)
            #expect(try StoreDoctor.examine(folder).findings.isEmpty)
        }
    }

    @Test func `a result is a file that stays readable when it is removed`() async throws {
        try await withFolder { folder in
            let store = try open(folder)
            let (job, small) = (try largeJob(), try make.job())
            _ = try await store.insert([job, small])
            try await end(job, in: store, with: large)
            try await end(small, in: store, with: "1")
            let file = try #require(
                try await store.resultFile(of: job.id, endedAt: make.start))
            #expect(file.count == large.utf8.count)
            let other = make.start.adding(seconds: 1)
            #expect(try await store.resultFile(of: job.id, endedAt: other) == nil)
            #expect(try await store.resultFile(of: small.id, endedAt: make.start) == nil)
            #expect(try await store.delete(job.id))
            #expect(try await store.resultFile(of: job.id, endedAt: make.start) == nil)
            try await file.bringIn(0..<file.count)
            let read = try await file.read(from: 0, file.count)
            #expect(read.elementsEqual(large.utf8))
            #expect(try await file.read(from: file.count, 9).isEmpty)
            store.close()
        }
    }

    // MARK: Backup

    @Test func `a backup is one file that holds the others`() async throws {
        try await withFolder { folder in
            let store = try open(folder)
            let job = try largeJob()
            _ = try await store.insert([job])
            try await end(job, in: store, with: "[\(large),\(large)]")
            let copy = folder + "/copy"
            try FileManager.default.createDirectory(
                atPath: copy, withIntermediateDirectories: true)
            let bytes = try StoreUpkeep.backUp(folder, to: copy + "/martlet.sqlite")
            #expect(bytes > 120_000)
            #expect(try await store.delete(job.id))
            store.close()
            #expect(try files(folder).isEmpty)
            #expect(try StoreDoctor.examine(copy).findings.isEmpty)
            let restored = try open(copy)
            let found = try #require(try await restored.job(job.id))
            #expect(found.submission.document == job.submission.document)
            #expect(found.result?.bytes.elementsEqual("[\(large),\(large)]".utf8) == true)
            restored.close()
            #expect(try files(copy).isEmpty)
        }
    }

    @Test func `what is forgotten during a backup stays until it is done`() async throws {
        try await withFolder { folder in
            var store = try open(folder)
            let job = try largeJob()
            _ = try await store.insert([job])
            let reading = Glibc.open(folder + "/payloads", O_RDONLY | O_DIRECTORY)
            #expect(flock(reading, LOCK_SH) == 0)  // as a backup does
            #expect(try await store.delete(job.id))
            store.close()
            #expect(try files(folder).count == 1)
            store = try open(folder)
            #expect(try files(folder).count == 1)
            store.close()
            close(reading)
            try open(folder).close()
            #expect(try files(folder).isEmpty)
        }
    }
}
