import Functions
import JobEngine
import Jobs
import Logging
import RawJSON
import Sockets
import TestSupport
import Testing

/// Jobs whose function is not there when their turn comes.
@Suite struct AbsentFunctionTests {
    private static let late = Function(
        name: "late", runtime: .python, pool: .thread, pools: [.thread])
    private static let broken = BrokenFile(file: "late.py", error: "SyntaxError", traceback: nil)
    private let store = MemoryJobStore()
    private let catalogue = FunctionCatalogue()

    init() {
        catalogue.replace(
            .native,
            functions: [Function(name: "echo", runtime: .native, pool: .thread, pools: [.thread])])
    }

    /// A server's queue; one that follows another finds its jobs.
    private func queue() async throws -> JobQueue {
        try await JobQueue.recover(
            EngineParts(
                store: store, pools: [.thread: EchoPool()], slots: [.thread: 2],
                catalogue: catalogue, settings: EngineSettings(),
                loop: try EventLoop(name: "test"),
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }))
    }

    private func job(_ queue: JobQueue, _ function: String) throws -> Job {
        let text = Array(#"{"function":"\#(function)","args":[1]}"#.utf8)
        return try queue.prepare(try JobSubmission(parsing: try RawJSON(validating: text)))
    }

    /// Jobs that a server has left behind, whose functions the next one has not heard of.
    ///
    /// They go past that server's queue, which would begin to run them.
    private func leave(_ count: Int) async throws -> [Job] {
        catalogue.replace(.python, functions: [Self.late])
        let queue = try await queue()
        let jobs = try (0..<count).map { _ in try job(queue, "late") }
        _ = try await store.insert(jobs)
        catalogue.replace(.python, functions: [])
        return jobs
    }

    private func look(_ queue: JobQueue, _ job: Job) async throws -> Job {
        try #require(
            try await queue.summary(
                of: job.id, waiting: 0, resultUpTo: JobStoreDefaults.wholeResultBytes))
    }

    @Test(.timeLimit(.minutes(1)))
    func `jobs wait for functions that are still being read, and out of the way of others`()
        async throws
    {
        let jobs = try await leave(50)
        catalogue.expect(.python)
        let queue = try await queue()
        await queue.begin()
        let echo = try await queue.submit(try job(queue, "echo"), waiting: 30).job
        #expect(echo.state == .succeeded)
        for job in try await [look(queue, jobs[0])] + queue.list(JobQuery(function: "late")) {
            #expect(job.state == .queued)
            #expect(job.attempt == 0)
            #expect(job.failure?.reason == .unavailable)
            #expect(job.failure?.message.contains("still being read") == true)
        }
        // What is said of it is not written with it, and no attempt was begun.
        #expect(try await store.job(jobs[0].id)?.failure == nil)
        #expect(await queue.jobCounts().map(\.function) == ["echo"])
        #expect(await queue.hindrances().count == 1)

        catalogue.replace(.python, functions: [Self.late])
        for job in jobs {
            let ended = try await queue.wait(job.id, seconds: 30)
            #expect(ended?.state == .succeeded)
            #expect(ended?.attempt == 1)
        }
        #expect(await queue.hindrances().isEmpty)
    }

    @Test(.timeLimit(.minutes(1)))
    func `jobs wait while a file cannot be imported, and fail when it is gone`() async throws {
        let jobs = try await leave(2)
        catalogue.replace(.python, functions: [], broken: [Self.broken])
        let queue = try await queue()
        await queue.begin()
        _ = try await queue.submit(try job(queue, "echo"), waiting: 30)
        let waiting = try await look(queue, jobs[0])
        #expect(waiting.state == .queued)
        #expect(waiting.failure?.message.contains("late.py cannot be imported") == true)

        catalogue.replace(.python, functions: [])
        for job in jobs {
            let ended = try await queue.wait(job.id, seconds: 30)
            #expect(ended?.state == .failed)
            #expect(ended?.failure?.reason == .unavailable)
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func `a job that is ready when its function goes is left to the store until it comes`()
        async throws
    {
        catalogue.replace(.python, functions: [Self.late])
        let queue = try await queue()
        await queue.begin()
        let job = try await queue.submit(try job(queue, "late"), waiting: 30).job
        let first = try #require(job.endedAt)
        catalogue.replace(.python, functions: [], broken: [Self.broken])
        _ = try await queue.retry(job.id)
        _ = try await queue.submit(try self.job(queue, "echo"), waiting: 30)
        #expect(try await look(queue, job).state == .queued)
        #expect(try await queue.cancel(job.id)?.changed?.state == .cancelled)
        _ = try await queue.retry(job.id)
        catalogue.replace(.python, functions: [Self.late])
        let ended = try await queue.wait(job.id, seconds: 30)
        #expect(ended?.state == .succeeded)
        #expect(try #require(ended?.endedAt) > first)
    }

    @Test func `who submits too early is told to come again, who misspells is not`() async throws {
        catalogue.expect(.python)
        let queue = try await queue()
        #expect {
            try job(queue, "late")
        } throws: {
            ($0 as? SubmissionError)?.kind == .functionsNotRead
        }
        catalogue.replace(.python, functions: [Self.late])
        #expect {
            try job(queue, "lat")
        } throws: {
            ($0 as? SubmissionError)?.kind == .unknownFunction
        }
        _ = try job(queue, "late")
    }
}
