import Jobs
import RawJSON
import Testing

/// What every store promises.
@Suite struct JobStoreContractTests {
    let make = JobMaker()

    @Test(arguments: StoreKind.allCases)
    func `a job comes back as it was stored`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let text = #"{"function":"add", "args":[12345678901234567890, 1e400]}"#
            let job = try make.job(text, pool: .thread, key: "k")
            _ = try await store.insert([job])
            let found = try #require(try await store.job(job.id))
            #expect(found.id == job.id)
            #expect(found.submission.document.bytes.elementsEqual(text.utf8))
            #expect(found.pool == .thread)
            #expect(found.state == .queued)
            #expect(found.createdAt == make.start)
            #expect(found.idempotencyKey == "k")
            let stranger = JobID(high: job.id.high, low: job.id.low ^ 1)
            #expect(try await store.job(stranger) == nil)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func `a key seen before gives the first job back`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let jobs = [try make.job(key: "k"), try make.job(key: "k"), try make.job()]
            let outcomes = try await store.insert(jobs)
            guard case .existing(let first, .idempotencyKey) = outcomes[1] else {
                Issue.record("the second job was stored")
                return
            }
            #expect(first.id == jobs[0].id)
            #expect(try await store.job(jobs[1].id) == nil)
            #expect(try await store.job(jobs[2].id) != nil)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func `of a batch with a bad job nothing is stored`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let (good, old) = (try make.job(), try make.job())
            _ = try await store.insert([old])
            await #expect(throws: StoreError.self) { _ = try await store.insert([good, old]) }
            #expect(try await store.job(good.id) == nil)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func `an update writes the state, the result and the items`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            var job = try make.job()
            _ = try await store.insert([job])
            job.state = .succeeded
            job.attempt = 2
            job.endedAt = make.start.adding(seconds: 1)
            job.result = RawJSON(literal: "[1.50]")
            job.failure = Failure(.signal, type: "SIGKILL", message: "killed", signal: 9)
            try await store.update(job, adding: [segment(0, 2)])
            let found = try #require(try await store.job(job.id))
            #expect(found.state == .succeeded)
            #expect(found.attempt == 2)
            #expect(found.endedAt == job.endedAt)
            #expect(try await result(of: found, in: store) == job.result)
            #expect(found.failure == job.failure)
            #expect(try await store.itemRanges(job.id) == [0..<2])
            #expect(try await store.list(JobQuery()).first?.result == nil)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func `the slots that its function asks for are kept with a job`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            var (wide, narrow) = (try make.job(), try make.job(#"{"function":"f","cpus":4}"#))
            wide.submission.cpus = 3
            narrow.submission.cpus = 1
            _ = try await store.insert([wide, narrow])
            #expect(try await store.job(wide.id)?.cpus == 3)
            #expect(try await store.job(narrow.id)?.cpus == 1)
            #expect(try await store.list(JobQuery()).map(\.cpus) == [1, 3])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func `an update of a job that is gone does nothing`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let job = try make.job()
            try await store.update(job, adding: [segment(0, 1)])
            try await store.saveItems(job.id, [segment(1, 1)])
            #expect(try await store.job(job.id) == nil)
            #expect(try await store.itemRanges(job.id).isEmpty)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func `a late note of the start does not undo the end`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            var (ended, begun) = (try make.job(), try make.job())
            _ = try await store.insert([ended, begun])
            ended.state = .failed
            ended.attempt = 1
            begun.attempt = 2
            try await store.update(ended, adding: [])
            try await store.update(begun, adding: [])
            store.noteStarted(ended.id, attempt: 1, at: make.start)
            store.noteStarted(begun.id, attempt: 2, at: make.start)
            // A change that is answered comes after the notes before it.
            _ = try await store.insert([try make.job()])
            #expect(try await store.job(ended.id)?.state == .failed)
            #expect(try await store.job(begun.id)?.state == .queued)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func `a large result is left where it is and read in pieces`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            // Over many pages of a database, no two of which are alike.
            let text = "[" + (0..<30_000).map(String.init).joined(separator: ",") + "]"
            let whole = Array(text.utf8)
            var job = try make.job()
            _ = try await store.insert([job])
            #expect(try await store.summary(of: job.id, resultUpTo: 0)?.unreadResultBytes == nil)
            let end = make.start.adding(seconds: 1)
            job.state = .succeeded
            job.endedAt = end
            job.result = RawJSON(trusted: whole[...])
            try await store.update(job, adding: [])

            let small = try await store.summary(of: job.id, resultUpTo: whole.count)
            #expect(small?.resultBytes == whole.count)
            #expect(kind == .sqliteWithFiles || small?.unreadResultBytes == nil)
            let large = try await store.summary(of: job.id, resultUpTo: whole.count - 1)
            #expect(large?.result == nil)
            #expect(large?.unreadResultBytes == whole.count)
            #expect(large?.state == .succeeded)
            #expect(try await store.job(job.id)?.resultBytes == whole.count)

            func piece(_ id: JobID, _ offset: Int, _ maxBytes: Int) async throws -> [UInt8]? {
                try await store.result(of: id, endedAt: end, from: offset, maxBytes: maxBytes)
            }
            var read: [UInt8] = []
            while let next = try await piece(job.id, read.count, 10_007), !next.isEmpty {
                read += next
            }
            #expect(read == whole)
            #expect(try await piece(job.id, whole.count - 3, 99) == whole.suffix(3))
            #expect(try await piece(job.id, whole.count, 99) == [])
            let stranger = JobID(high: job.id.high, low: job.id.low ^ 1)
            #expect(try await piece(stranger, 0, 9) == nil)
            let other = make.start
            #expect(
                try await store.result(of: job.id, endedAt: other, from: 0, maxBytes: 9) == nil)
            job.result = nil
            try await store.update(job, adding: [])
            #expect(try await piece(job.id, 0, 9) == nil)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func `a submission is read in pieces as it was sent`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let numbers = (0..<20_000).map(String.init).joined(separator: ", ")
            let document = #"{"function":"f", "args":[\#(numbers)]}"#
            let job = try make.job(document)
            _ = try await store.insert([job])
            var read: [UInt8] = []
            while let next = try await store.submission(
                of: job.id, from: read.count, maxBytes: 9_999), !next.bytes.isEmpty
            {
                #expect(next.total == document.utf8.count)
                read += next.bytes
            }
            #expect(read == Array(document.utf8))
            let stranger = JobID(high: job.id.high, low: job.id.low ^ 1)
            #expect(try await store.submission(of: stranger, from: 0, maxBytes: 9) == nil)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func `items come in order, from any item, at least one segment`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let job = try make.job()
            _ = try await store.insert([job])
            let failed = segment(
                2, 2, [Failure(.exception, type: "E", message: "m", index: 3)])
            try await store.saveItems(job.id, [failed, segment(0, 2), segment(4, 1)])
            #expect(try await store.itemRanges(job.id) == [0..<2, 2..<4, 4..<5])
            func page(_ cursor: ItemCursor, onlyFailed: Bool = false, _ maxBytes: Int = 1_000)
                async throws -> ItemPage
            {
                try await store.items(job.id, cursor, onlyFailed: onlyFailed, maxBytes: maxBytes)
            }
            #expect(
                try await page(.index(3), 0) == ItemPage(segments: [failed], next: .index(4)))
            #expect(try await page(.index(0)).segments.map(\.first) == [0, 2, 4])
            #expect(try await page(.index(5)).isEmpty)
            #expect(try await page(.index(0), onlyFailed: true).segments == [failed])
            let written = try await page(.written(after: 0), 0)
            #expect(written.segments == [failed])
            #expect(try await page(written.next).segments.map(\.first) == [0, 4])
            try await store.dropItems(job.id, onlyFailed: true)
            // The good item beside the failed one stays.
            #expect(try await store.itemRanges(job.id) == [0..<2, 2..<3, 4..<5])
            try await store.dropItems(job.id, onlyFailed: false)
            #expect(try await store.itemRanges(job.id).isEmpty)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func `queued jobs come by priority, then age, when due`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let due = make.start.adding(seconds: 10)
            let jobs = [
                try make.job(), try make.job(#"{"function":"f","priority":5}"#),
                try make.job(notBefore: due), try make.job(pool: .thread), try make.job(),
            ]
            _ = try await store.insert(jobs)
            #expect(try await store.nextDue(after: make.start) == due)
            let now = try await store.queued(
                in: .process, dueAt: make.start, limit: 9, maxBytes: 9999
            ) { _ in false }
            #expect(now.map(\.id) == [jobs[1].id, jobs[0].id, jobs[4].id])
            let later = try await store.queued(
                in: .process, dueAt: due, limit: 3, maxBytes: 9999
            ) { _ in false }
            #expect(later.map(\.id) == [jobs[1].id, jobs[0].id, jobs[2].id])
            #expect(try await store.nextDue(after: due) == nil)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func `jobs of functions that are absent do not count, whatever their queue and priority`(
        kind: StoreKind,
    ) async throws {
        try await kind.withStore { store in
            let due = make.start.adding(seconds: 10)
            let jobs = [
                try make.job(#"{"function":"gone","priority":5}"#), try make.job(),
                try make.job(#"{"function":"gone","queue":"q"}"#, notBefore: due),
                try make.job(#"{"function":"gone"}"#), try make.job(),
            ]
            _ = try await store.insert(jobs)
            func waiting(_ absent: String, _ limit: Int) async throws -> [JobID] {
                try await store.queued(
                    in: .process, dueAt: due, limit: limit, maxBytes: 9999,
                    leavingOutFunctions: { $0 == absent }, leavingOut: { _ in false }
                ).map(\.id)
            }
            #expect(try await waiting("gone", 2) == [jobs[1].id, jobs[4].id])
            #expect(try await waiting("gone", 9) == [jobs[1].id, jobs[4].id])
            let other = jobs[1].functionName
            #expect(try await waiting(other, 9) == [jobs[0].id, jobs[2].id, jobs[3].id])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func `a job that was due and failed waits for its next attempt`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let (due, later) = (make.start.adding(seconds: 10), make.start.adding(seconds: 20))
            var job = try make.job(notBefore: due)
            _ = try await store.insert([job])
            func waiting(at time: Timestamp) async throws -> Int {
                try await store.queued(in: .process, dueAt: time, limit: 9, maxBytes: 9999) { _ in
                    false
                }.count
            }
            #expect(try await waiting(at: due) == 1)
            job.attempt = 1
            job.notBefore = later
            try await store.update(job, adding: [])
            #expect(try await waiting(at: due) == 0)
            #expect(try await store.nextDue(after: due) == later)
            #expect(try await waiting(at: later) == 1)
            #expect(
                try await store.counts() == [
                    QueueCount(queue: "default", state: .queued, count: 1)
                ])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func `the queue gives what fits into memory`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let text = String(repeating: "x", count: 1000)
            let jobs = try (0..<5).map { number in
                try make.job(
                    #"{"function":"f","queue":"q\#(number % 3)","args":["\#(text)"]}"#)
            }
            _ = try await store.insert(jobs)
            func waiting(_ limit: Int, _ maxBytes: Int) async throws -> [JobID] {
                let known = jobs[0].id
                return try await store.queued(
                    in: .process, dueAt: make.start, limit: limit, maxBytes: maxBytes
                ) { $0 == known }.map(\.id)
            }
            #expect(try await waiting(9, 9999) == jobs.dropFirst().map(\.id))
            #expect(try await waiting(2, 9999) == jobs[1...2].map(\.id))
            #expect(try await waiting(9, 2500) == jobs[1...2].map(\.id))
            #expect(try await waiting(9, 1) == [jobs[1].id])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func `a key is free again after a day`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let old = try make.job(key: "k")
            _ = try await store.insert([old])
            let soon = try make.job(key: "k", createdAt: make.start.adding(seconds: 86_399))
            #expect(try await store.insert([soon]).map(\.isStored) == [false])
            let late = try make.job(key: "k", createdAt: make.start.adding(seconds: 86_400))
            #expect(try await store.insert([late]).map(\.isStored) == [true])
            #expect(try await store.job(old.id) != nil)
            #expect(try await store.insert([try make.job(key: "k")]).map(\.isStored) == [false])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func `lists show the newest first and what is asked for`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let jobs = [
                try make.job(#"{"function":"f","tags":["a","b"]}"#),
                try make.job(#"{"function":"g","tags":["a"],"queue":"q"}"#), try make.job(),
            ]
            _ = try await store.insert(jobs)
            func listed(_ query: JobQuery) async throws -> [JobID] {
                try await store.list(query).map(\.id)
            }
            #expect(try await listed(JobQuery(limit: 2)) == [jobs[2].id, jobs[1].id])
            #expect(try await listed(JobQuery(tag: "a")) == [jobs[1].id, jobs[0].id])
            #expect(try await listed(JobQuery(function: "f")) == [jobs[0].id])
            #expect(try await listed(JobQuery(queue: "q", before: jobs[2].id)) == [jobs[1].id])
            #expect(try await listed(JobQuery(state: .failed)).isEmpty)
            #expect(
                try await store.counts() == [
                    QueueCount(queue: "default", state: .queued, count: 2),
                    QueueCount(queue: "q", state: .queued, count: 1),
                ])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func `recovery queues what ran and cancels what was cancelled`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            var jobs = [try make.job(), try make.job(), try make.job()]
            _ = try await store.insert(jobs)
            jobs[0].state = .running
            jobs[0].attempt = 1
            jobs[1].state = .cancelling
            for job in jobs { try await store.update(job, adding: []) }
            let report = try await store.recover(at: make.start, keepSeconds: 60)
            #expect(
                report
                    == RecoveryReport(requeued: 1, lastSequence: jobs[2].id.sequence))
            let ran = try await store.job(jobs[0].id)
            #expect(ran?.state == .queued)
            #expect(ran?.attempt == 1)
            let cancelled = try await store.job(jobs[1].id)
            #expect(cancelled?.state == .cancelled)
            #expect(cancelled?.endedAt == make.start)
            #expect(cancelled?.expiresAt == make.start.adding(seconds: 60))
        }
    }

    @Test(arguments: StoreKind.allCases)
    func `deleting forgets a job and its parts`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let job = try make.job(#"{"function":"f","tags":["a"]}"#)
            _ = try await store.insert([job])
            try await store.saveItems(job.id, [segment(0, 1)])
            #expect(try await store.delete(job.id))
            #expect(try await store.delete(job.id) == false)
            #expect(try await store.itemRanges(job.id).isEmpty)
            #expect(try await store.list(JobQuery(tag: "a")).isEmpty)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func `pruning drops every expired result and forgets old jobs`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            // More than a step of the SQLite store, most of them without a result any more.
            var jobs = try (0..<1200).map { _ in try make.job() }
            _ = try await store.insert(jobs)
            for index in jobs.indices {
                jobs[index].state = .succeeded
                jobs[index].result = RawJSON(literal: "1")
                jobs[index].expiresAt = make.start.adding(seconds: Double(index))
            }
            await withTaskGroup { group in
                for job in jobs {
                    group.addTask { try? await store.update(job, adding: []) }
                }
            }
            try await store.prune(
                expiredBefore: make.start.adding(seconds: 1100),
                forgottenBefore: make.start.adding(seconds: 10))
            #expect(try await store.job(jobs[9].id) == nil)
            #expect(try await store.job(jobs[10].id)?.state == .succeeded)
            #expect(try await store.job(jobs[10].id)?.resultBytes == nil)
            #expect(try await store.job(jobs[1099].id)?.resultBytes == nil)
            #expect(try await store.job(jobs[1100].id)?.resultBytes != nil)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func `a log is read as it was written, within its limit`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let job = try make.job()
            _ = try await store.insert([job])
            for text in ["a\nb\n", "c\n", "not any more\n"] { await append(text, to: job, store) }
            let first = try await store.log(job.id, after: 0, maxBytes: 1)
            #expect(first.text == Array("a\nb\n".utf8))
            let second = try await store.log(job.id, after: first.next, maxBytes: 100)
            #expect(second.text == Array("c\n".utf8))
            let third = try await store.log(job.id, after: second.next, maxBytes: 100)
            #expect(third == LogPage(text: [], next: second.next))
            #expect(try await store.delete(job.id))
            await append("of nobody\n", to: job, store)
            #expect(try await store.log(job.id, after: 0, maxBytes: 100).text.isEmpty)
        }
    }

    private func append(_ text: String, to job: Job, _ store: any JobStore) async {
        await withCheckedContinuation { continuation in
            store.appendLog(job.id, Array(text.utf8), limit: 6) { continuation.resume() }
        }
    }

    @Test(arguments: StoreKind.allCases)
    func `a trace is kept with its job`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            var job = try make.job()
            job.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
            _ = try await store.insert([job])
            #expect(try await store.job(job.id)?.traceparent == job.traceparent)
        }
    }

    private func segment(
        _ first: Int, _ count: Int, _ failures: [Failure] = [],
    ) -> ItemSegment {
        let results = Array(repeating: "null", count: count).joined(separator: ",")
        return ItemSegment(
            first: first, count: count, results: Array(results.utf8), failures: failures)
    }
}

/// When a job that is there answers in the place of a new one.
@Suite struct LikenessTests {
    private let make = JobMaker()

    private func job(_ document: String, _ keys: CallKeys, at seconds: Double = 0) throws -> Job {
        var job = try make.job(document, createdAt: make.start.adding(seconds: seconds))
        job.keys = keys
        return job
    }

    private func likeness(_ outcomes: [InsertOutcome]) -> [Likeness?] {
        outcomes.map { if case .existing(_, let likeness) = $0 { likeness } else { nil } }
    }

    @Test(arguments: StoreKind.allCases)
    func `a unique job answers until it ends or is stopped`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let keys = CallKeys(unique: [1])
            let text = #"{"function":"f","unique":true}"#
            var first = try job(text, keys)
            let outcomes = try await store.insert([first, try job(text, keys)])
            #expect(likeness(outcomes) == [nil, .unique])
            let stopping = first.id
            let late = try job(text, keys)
            let third = try await store.insert(
                [late], batch: nil, leavingOut: { $0 == stopping }, durable: { _ in })
            #expect(likeness(third) == [nil])
            #expect(try await store.delete(late.id))
            first.state = .failed
            try await store.update(first, adding: [])
            #expect(likeness(try await store.insert([try job(text, keys)])) == [nil])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func `a result answers while it is young and there`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let keys = CallKeys(cache: [2])
            let text = #"{"function":"f","cache":60}"#
            var first = try job(text, keys)
            _ = try await store.insert([first])
            #expect(likeness(try await store.insert([try job(text, keys)])) == [nil])
            first.state = .succeeded
            first.result = RawJSON(literal: "1")
            first.endedAt = make.start
            first.expiresAt = make.start.adding(seconds: 50)
            try await store.update(first, adding: [])
            #expect(likeness(try await store.insert([try job(text, keys, at: 49)])) == [.cache])
            #expect(likeness(try await store.insert([try job(text, keys, at: 51)])) == [nil])
            let strict = try job(#"{"function":"f","cache":10}"#, keys, at: 11)
            #expect(likeness(try await store.insert([strict])) == [nil])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func `a batch's key brings its jobs again`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let jobs = [try make.job(), try make.job()]
            let key = BatchKey(key: "b", fingerprint: [1])
            #expect(try await store.insert(jobs, batch: key).allSatisfy(\.isStored))
            let again = try await store.insert([try make.job(), try make.job()], batch: key)
            let ids = again.compactMap { if case .repeated(let id) = $0 { id } else { nil } }
            #expect(ids == jobs.map(\.id))
            let other = BatchKey(key: "b", fingerprint: [2])
            guard case .keyReused = try await store.insert([try make.job()], batch: other)[0] else {
                Issue.record("another batch with the same key was taken")
                return
            }
            #expect(try await store.list(JobQuery()).count == 2)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func `a key is not a job's and a batch's`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let batch = { BatchKey(key: $0, fingerprint: [1]) }
            _ = try await store.insert([try make.job()], batch: batch("batch"))
            _ = try await store.insert([try make.job(key: "job")])
            let job = try await store.insert([try make.job(key: "batch")])
            guard case .keyReused = job[0] else {
                Issue.record("a job with the key of a batch was taken")
                return
            }
            let jobs = try [make.job(), make.job()]
            guard case .keyReused = try await store.insert(jobs, batch: batch("job"))[1] else {
                Issue.record("a batch with the key of a job was taken")
                return
            }
            #expect(try await store.list(JobQuery()).count == 2)
        }
    }
}
