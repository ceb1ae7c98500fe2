import Functions
import Glibc
import JobEngine
import Jobs
import Logging
import RawJSON
import Sockets
import Synchronization
import TestSupport
import Testing
import Threads

/// A store whose disk is full for its first few writes of results, and whose queue may be read
/// as it was a while ago.
private final class HinderedStore: JobStore {
    private let inner = MemoryJobStore()
    private let refusals: Mutex<Int>
    /// What happens once, when a job has been written as queued.
    let onQueued = Mutex<(@Sendable () async -> Void)?>(nil)
    /// What one reading of the queue finds instead of what is there.
    let staleReading = Mutex<(@Sendable () async -> [Job])?>(nil)
    /// Whether jobs cannot be looked at.
    let isUnreadable = Mutex(false)

    init(refusals: Int = 0) { self.refusals = Mutex(refusals) }

    var refusalsLeft: Int { refusals.withLock { $0 } }

    private func refuse() throws(StoreError) {
        let isRefused = refusals.withLock { left in
            defer { left = max(0, left - 1) }
            return left > 0
        }
        if isRefused { throw .full("full") }
    }

    func insert(
        _ jobs: [Job], batch: BatchKey?, leavingOut isStopping: @escaping @Sendable (JobID) -> Bool,
        durable: @escaping @Sendable ([InsertOutcome]) -> Void,
    ) async throws(StoreError) -> [InsertOutcome] {
        try await inner.insert(jobs, batch: batch, leavingOut: isStopping, durable: durable)
    }
    func appendLog(
        _ id: JobID, _ text: [UInt8], limit: Int, saved: @escaping @Sendable () -> Void,
    ) {
        inner.appendLog(id, text, limit: limit, saved: saved)
    }
    func log(
        _ id: JobID, after cursor: Int64, maxBytes: Int,
    ) async throws(StoreError) -> LogPage {
        try await inner.log(id, after: cursor, maxBytes: maxBytes)
    }
    func noteStarted(_ id: JobID, attempt: Int, at time: Timestamp) {
        inner.noteStarted(id, attempt: attempt, at: time)
    }
    func saveItems(_ id: JobID, _ segments: [ItemSegment]) async throws(StoreError) {
        try refuse()
        try await inner.saveItems(id, segments)
    }
    func update(_ job: Job, adding segments: [ItemSegment]) async throws(StoreError) {
        try refuse()
        try await inner.update(job, adding: segments)
        guard job.state == .queued else { return }
        let onQueued = onQueued.withLock { action in
            defer { action = nil }
            return action
        }
        await onQueued?()
    }
    func dropItems(_ id: JobID, onlyFailed: Bool) async throws(StoreError) {
        try await inner.dropItems(id, onlyFailed: onlyFailed)
    }
    func delete(_ id: JobID) async throws(StoreError) -> Bool { try await inner.delete(id) }
    func job(_ id: JobID) async throws(StoreError) -> Job? { try await inner.job(id) }
    func summary(of id: JobID, resultUpTo maxBytes: Int) async throws(StoreError) -> Job? {
        if isUnreadable.withLock({ $0 }) { throw .failed("unreadable") }
        return try await inner.summary(of: id, resultUpTo: maxBytes)
    }
    func result(
        of id: JobID, endedAt: Timestamp, from offset: Int, maxBytes: Int,
    ) async throws(StoreError) -> [UInt8]? {
        try await inner.result(of: id, endedAt: endedAt, from: offset, maxBytes: maxBytes)
    }
    func resultFile(of id: JobID, endedAt: Timestamp) async throws(StoreError) -> OpenFile? {
        try await inner.resultFile(of: id, endedAt: endedAt)
    }
    func submission(
        of id: JobID, from offset: Int, maxBytes: Int,
    ) async throws(StoreError) -> SubmissionPart? {
        try await inner.submission(of: id, from: offset, maxBytes: maxBytes)
    }
    func items(
        _ id: JobID, _ cursor: ItemCursor, onlyFailed: Bool, maxBytes: Int,
    ) async throws(StoreError) -> ItemPage {
        try await inner.items(id, cursor, onlyFailed: onlyFailed, maxBytes: maxBytes)
    }
    func itemRanges(_ id: JobID) async throws(StoreError) -> [Range<Int>] {
        try await inner.itemRanges(id)
    }
    func appendItems(_ piece: ItemPiece, to id: JobID) async throws(StoreError) -> Bool {
        try await inner.appendItems(piece, to: id)
    }
    func endUpload(_ id: JobID) async throws(StoreError) { try await inner.endUpload(id) }
    func unfinishedUploads() async throws(StoreError) -> [JobID] {
        try await inner.unfinishedUploads()
    }
    func pieceRanges(
        _ id: JobID, from first: Int,
    ) async throws(StoreError) -> [Range<Int>] {
        try await inner.pieceRanges(id, from: first)
    }
    func piece(_ id: JobID, at first: Int) async throws(StoreError) -> ItemPiece? {
        try await inner.piece(id, at: first)
    }
    func list(_ query: JobQuery) async throws(StoreError) -> [Job] { try await inner.list(query) }
    func queued(
        in pool: PoolKind, dueAt time: Timestamp, limit: Int, maxBytes: Int,
        leavingOutFunctions isAbsent: @escaping @Sendable (String) -> Bool,
        leavingOut isKnown: @escaping @Sendable (JobID) -> Bool,
    ) async throws(StoreError) -> [Job] {
        let stale = staleReading.withLock { reading in
            defer { reading = nil }
            return reading
        }
        if let stale { return await stale() }
        return try await inner.queued(
            in: pool, dueAt: time, limit: limit, maxBytes: maxBytes, leavingOutFunctions: isAbsent,
            leavingOut: isKnown)
    }
    func nextDue(after time: Timestamp) async throws(StoreError) -> Timestamp? {
        try await inner.nextDue(after: time)
    }
    func counts() async throws(StoreError) -> [QueueCount] { try await inner.counts() }
    func recover(
        at time: Timestamp, keepSeconds: Double,
    ) async throws(StoreError) -> RecoveryReport {
        try await inner.recover(at: time, keepSeconds: keepSeconds)
    }
    func prune(expiredBefore time: Timestamp, forgottenBefore: Timestamp) async throws(StoreError) {
        try await inner.prune(expiredBefore: time, forgottenBefore: forgottenBefore)
    }
}

@Suite struct JobQueueTests {
    private func queue(
        _ store: any JobStore, openJobs: Int = 100, perQueue: Int = .max, loop: EventLoop? = nil,
        catalogue: FunctionCatalogue = FunctionCatalogue(),
    ) async throws -> JobQueue {
        catalogue.replace(
            .native,
            functions: [Function(name: "echo", runtime: .native, pool: .thread, pools: [.thread])])
        var settings = EngineSettings()
        settings.openJobs = openJobs
        settings.openJobsPerQueue = perQueue
        let queue = try await JobQueue.recover(
            EngineParts(
                store: store, pools: [.thread: EchoPool()], slots: [.thread: 2],
                catalogue: catalogue, settings: settings,
                loop: try loop ?? EventLoop(name: "test"),
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }))
        await queue.begin()
        return queue
    }

    @Test(.timeLimit(.minutes(1)))
    func `an engine that hangs does not answer, and one that answers is believed for a while`()
        async throws
    {
        let loop = try EventLoop(name: "test")
        let queue = try await queue(MemoryJobStore(), loop: loop)
        #expect(!queue.hasAnsweredLately)
        let gate = Mutex(false)
        let hangs = Mutex(false)
        loop.execute {
            hangs.withLock { $0 = true }
            while !gate.withLock({ $0 }) { usleep(1000) }
        }
        while !hangs.withLock({ $0 }) { await Task.yield() }
        async let answer: Void = queue.answer()
        for _ in 0..<1000 { await Task.yield() }
        #expect(!queue.hasAnsweredLately)
        gate.withLock { $0 = true }
        await answer
        // A while is a second, which a busy machine may need for these two lines.
        while !queue.hasAnsweredLately { await queue.answer() }
    }

    private func job(_ queue: JobQueue, _ members: String) throws -> Job {
        let text = Array("{\"function\":\"echo\",\(members)}".utf8)
        return try queue.prepare(try JobSubmission(parsing: try RawJSON(validating: text)))
    }

    @Test(.timeLimit(.minutes(1)))
    func `who is not waited for any more does not wait`() async throws {
        let queue = try await queue(MemoryJobStore())
        let later = try job(queue, "\"args\":[1],\"delay\":3600")
        _ = try await queue.submit([later])
        let waiting = Task { try await queue.wait(later.id, seconds: 3600) }
        let submitting = Task {
            try await queue.submit(try job(queue, "\"args\":[1],\"delay\":3600"), waiting: 3600)
        }
        waiting.cancel()
        submitting.cancel()
        #expect(try await waiting.value?.state == .queued)
        #expect(try await submitting.value.job.state == .queued)
    }

    @Test func `results that the store refuses at first are not lost`() async throws {
        let store = HinderedStore(refusals: 3)
        let queue = try await queue(store)
        // Over the bytes that a run keeps in memory, so that both ways of writing are refused.
        let item = "\"" + String(repeating: "x", count: 1000) + "\""
        let items = Array(repeating: item, count: 2000).joined(separator: ",")
        let ended = try await queue.submit(
            try job(queue, "\"map\":[\(items)],\"chunk\":100"), waiting: 30
        ).job
        #expect(ended.state == .succeeded)
        #expect(store.refusalsLeft == 0)
        let ranges = try await store.itemRanges(ended.id)
        #expect(ranges.reduce(0) { $0 + $1.count } == 2000)
        #expect(zip(ranges, ranges.dropFirst()).allSatisfy { $0.upperBound == $1.lowerBound })
    }

    @Test func `a job that is kept is no failure to its client when the store cannot be read`()
        async throws
    {
        let store = HinderedStore()
        let queue = try await queue(store)
        store.isUnreadable.withLock { $0 = true }
        let later = try job(queue, "\"args\":[1],\"delay\":3600")
        #expect(try await queue.submit(later, waiting: 0.01).job.state == .queued)
        #expect(try await store.job(later.id) != nil)
        let large = String(repeating: "x", count: JobStoreDefaults.wholeResultBytes)
        let ended = try await queue.submit(try job(queue, "\"args\":[\"\(large)\"]"), waiting: 30)
        #expect(ended.job.state == .succeeded)
        #expect(ended.job.result != nil)
    }

    @Test func `a job that ends while the queue is read does not run again`() async throws {
        let store = HinderedStore()
        let queue = try await queue(store)
        let delayed = try job(queue, "\"args\":[1],\"delay\":0.05")
        let quick = try job(queue, "\"args\":[2]")
        let end = Mutex<Timestamp?>(nil)
        store.staleReading.withLock { reading in
            reading = {
                let ended = try? await queue.submit(quick, waiting: 30)
                end.withLock { $0 = ended?.job.endedAt }
                return [quick, delayed]
            }
        }
        _ = try await queue.submit(delayed, waiting: 30)
        let last = try await store.job(quick.id)?.endedAt
        #expect(last != nil)
        #expect(last == end.withLock { $0 })
    }

    @Test func `a cancel while a job is queued again comes before that or after`() async throws {
        let store = HinderedStore()
        let queue = try await queue(store)
        let job = try await queue.submit(try job(queue, "\"args\":[1]"), waiting: 30).job
        let cancelling = Mutex<Task<ChangeOutcome?, any Error>?>(nil)
        store.onQueued.withLock { action in
            action = {
                cancelling.withLock { $0 = Task { try await queue.cancel(job.id) } }
                // Time for a cancel that does not wait for its turn.
                for _ in 0..<1000 { await Task.yield() }
            }
        }
        #expect(try await queue.retry(job.id)?.changed != nil)
        let cancelled = try await cancelling.withLock { $0 }?.value?.changed
        let ended = try await queue.wait(job.id, seconds: 30)
        // What runs already may succeed before it is stopped, but is not said to be cancelled.
        #expect(cancelled?.state != .cancelled || ended?.state == .cancelled)
        #expect(ended?.state.isEnd == true)
    }

    @Test func `of two retries at once one queues the job again`() async throws {
        let queue = try await queue(MemoryJobStore(), openJobs: 1)
        for _ in 0..<20 {
            let job = try await queue.submit(try job(queue, "\"args\":[1]"), waiting: 30).job
            async let first = queue.retry(job.id)
            async let second = queue.retry(job.id)
            let queued = try await [first, second].count { $0?.changed != nil }
            #expect(queued >= 1)  // the second may come when the first has ended already
            #expect(try await queue.wait(job.id, seconds: 30)?.state == .succeeded)
            #expect(try await queue.delete(job.id)?.changed != nil)
        }
    }

    @Test func `of changes that depend on one state of a job one is made`() async throws {
        let queue = try await queue(MemoryJobStore())
        for _ in 0..<20 {
            let job = try await queue.submit(try job(queue, "\"args\":[1]"), waiting: 30).job
            // As long as the first retry has not ended it is in the way; then the job is another.
            let isAsRead: JobCondition = { $0.endedAt == job.endedAt }
            let retries = (0..<4).map { _ in Task { try await queue.retry(job.id, if: isAsRead) } }
            var made = 0
            for retry in retries where try await retry.value?.changed != nil { made += 1 }
            #expect(made == 1)
            let ended = try await queue.wait(job.id, seconds: 30)
            #expect(ended?.endedAt != job.endedAt)
            for outcome in [
                try await queue.retry(job.id, if: isAsRead),
                try await queue.cancel(job.id, if: isAsRead),
                try await queue.delete(job.id, if: isAsRead),
            ] {
                guard case .conditionFailed = outcome else {
                    Issue.record("\(outcome as Any)")
                    continue
                }
            }
            let outcome = try await queue.delete(job.id, if: { $0.endedAt == ended?.endedAt })
            #expect(outcome?.changed?.state == .succeeded)
        }
    }

    @Test func `a waiting job is cancelled if it is as it was read`() async throws {
        let queue = try await queue(MemoryJobStore())
        let job = try job(queue, "\"args\":[],\"delay\":3600")
        _ = try await queue.submit([job])
        let refused = try await queue.cancel(job.id, if: { $0.state == .running })
        #expect(refused != nil && refused?.changed == nil)
        #expect(try await queue.job(job.id)?.state == .queued)
        let outcome = try await queue.cancel(job.id, if: { $0.state == .queued })
        #expect(outcome?.changed?.state == .cancelled)
    }

    @Test func `ended jobs make room below the bound`() async throws {
        let queue = try await queue(MemoryJobStore(), openJobs: 2)
        let later = try (0..<2).map { _ in try job(queue, "\"args\":[],\"delay\":3600") }
        _ = try await queue.submit(later)
        let third = try job(queue, "\"args\":[1]")
        await #expect(throws: QueueFull.self) { try await queue.submit([third]) }
        _ = try await queue.cancel(later[0].id)
        #expect(try await queue.submit(third, waiting: 30).job.state == .succeeded)
        #expect(try await queue.delete(later[1].id)?.changed != nil)
        _ = try await queue.submit([try job(queue, "\"args\":[2]")])
    }

    @Test func `a full queue leaves the others open, and a refused batch takes no room`()
        async throws
    {
        let queue = try await queue(MemoryJobStore(), openJobs: 5, perQueue: 2)
        let (full, other) = (
            "\"args\":[],\"delay\":3600,\"queue\":\"a\"",
            "\"args\":[],\"delay\":3600,\"queue\":\"b\""
        )
        let first = try job(queue, full)
        _ = try await queue.submit([first])
        let batch = try [job(queue, other), job(queue, full), job(queue, full)]
        await #expect(throws: QueueFull(limit: 2, queue: "a")) { try await queue.submit(batch) }
        _ = try await queue.submit(Array(batch[..<2]))
        await #expect(throws: QueueFull(limit: 2, queue: "a")) {
            try await queue.submit([batch[2]])
        }
        _ = try await queue.submit([try job(queue, other)])
        _ = try await queue.cancel(first.id)
        _ = try await queue.submit([try job(queue, full)])
    }
}
