import Jobs
import RawJSON
import Testing

@testable import JobEngine

@Suite struct EventFeedTests {
    private let ids = JobIDGenerator(after: 0)

    private func job(_ function: String = "square", queue: String? = nil) throws -> Job {
        let document = RawJSON(
            trusted: Array("{\"function\":\"\(function)\",\"args\":[1]}".utf8)[...])
        var submission = try JobSubmission(parsing: document)
        submission.queue = queue
        return Job(
            id: ids.next(at: .now()), submission: submission, pool: .thread, createdAt: .now())
    }

    private func functions(_ news: EventNews?) -> [String] {
        news?.events.map(\.subject.function) ?? []
    }

    @Test func `nothing is recorded before somebody looks on`() throws {
        let feed = EventFeed(limit: 2)
        #expect(!feed.isRecording)
        _ = try feed.subscribe(EventFilter(), after: nil)
        #expect(feed.isRecording)
    }

    @Test func `a reader is told what its filter takes, in order`() async throws {
        let feed = EventFeed(limit: 3)
        let all = try feed.subscribe(EventFilter(), after: nil)
        let some = try feed.subscribe(EventFilter(queue: "q"), after: nil)
        let first = try job("a", queue: "q")
        let one = try feed.subscribe(EventFilter(job: first.id), after: nil)
        feed.publish(first)
        feed.publish(try job("b"))
        feed.publish(try job("c", queue: "q"))
        #expect(functions(try await all.next()) == ["a", "b", "c"])
        #expect(functions(try await some.next()) == ["a", "c"])
        #expect(functions(try await one.next()) == ["a"])
    }

    @Test func `who comes back is told what was missed, by growing ids`() async throws {
        let feed = EventFeed(limit: 2)
        let before = try feed.subscribe(EventFilter(), after: nil)
        for name in ["a", "b", "c"] { feed.publish(try job(name)) }
        let events = try await before.next()?.events ?? []
        #expect(events.map(\.id) == events.map(\.id).sorted())
        let again = try feed.subscribe(EventFilter(), after: events[0].id)
        #expect(functions(try await again.next()) == ["b", "c"])
    }

    @Test func `who was away for too long is told of a gap`() async throws {
        let feed = EventFeed(limit: 2)
        let reader = try feed.subscribe(EventFilter(), after: 5)
        feed.publish(try job("a"))
        let news = try #require(await reader.next())
        #expect(news.gap?.isSlowReader == false)
        #expect(functions(news) == ["a"])
    }

    @Test func `a reader that does not read is told of a gap and what came last`() async throws {
        let feed = EventFeed(limit: 2)
        let reader = try feed.subscribe(EventFilter(), after: nil)
        let job = try job()
        for _ in 0..<40_000 { feed.publish(job) }
        feed.publish(try self.job("last"))
        var news = try #require(await reader.next())
        #expect(news.gap?.isSlowReader == true)
        let first = try #require(news.events.first)
        #expect(news.gap?.through == first.id - 1)
        // What the feed still holds comes in small pieces, without another gap.
        var last = first
        while last.subject.function != "last" {
            #expect(news.events.count < 500)
            let previous = try #require(news.events.last)
            news = try #require(await reader.next())
            #expect(news.gap == nil)
            #expect(news.events.first?.id == previous.id + 1)
            last = try #require(news.events.last)
        }
        #expect(last.id - first.id < 35_000)
    }

    @Test func `many lines and events of a job come in order, in pieces`() async throws {
        let feed = EventFeed(limit: 2)
        let job = try job()
        let reader = try feed.subscribe(EventFilter(job: job.id), after: nil)
        for number in 0..<1000 {
            feed.publish(EventSubject(job), .log(LogLine(.stdout, "line \(number)")))
            if number.isMultiple(of: 3) { feed.publish(job) }
            if number.isMultiple(of: 7) { feed.publish(try self.job("other")) }
        }
        var told: [JobEvent] = []
        while told.count < 1334 {
            let news = try #require(await reader.next())
            #expect(news.gap == nil)
            #expect((1..<1000).contains(news.events.count))
            told += news.events
        }
        #expect(told.count == 1334)
        #expect(zip(told, told.dropFirst()).allSatisfy { $0.id < $1.id })
    }

    @Test func `lines are told to readers of their job alone`() async throws {
        let feed = EventFeed(limit: 3)
        let job = try job()
        let all = try feed.subscribe(EventFilter(), after: nil)
        let one = try feed.subscribe(EventFilter(job: job.id), after: nil)
        feed.publish(EventSubject(job), .log(LogLine(.stdout, "hello")))
        feed.publish(job)
        #expect(try await all.next()?.events.count == 1)
        let told = try await one.next()?.events ?? []
        #expect(told.count == 2)
        let again = try feed.subscribe(EventFilter(job: job.id), after: told[0].id - 1)
        #expect(try await again.next()?.events.map(\.id) == told.map(\.id))
    }

    @Test func `a released subscription makes room`() throws {
        let feed = EventFeed(limit: 1)
        var reader: EventSubscription? = try feed.subscribe(EventFilter(), after: nil)
        #expect(throws: TooManyStreams(limit: 1)) {
            _ = try feed.subscribe(EventFilter(), after: nil)
        }
        withExtendedLifetime(reader) {}
        reader = nil
        #expect(feed.readerCount == 0)
        _ = try feed.subscribe(EventFilter(), after: nil)
    }

    @Test func `a cancelled reader stops waiting`() async throws {
        let feed = EventFeed(limit: 1)
        let reader = try feed.subscribe(EventFilter(), after: nil)
        let task = Task { try await reader.next() }
        task.cancel()
        await #expect(throws: CancellationError.self) { _ = try await task.value }
    }

    @Test func `streams end with the feed, after what they had`() async throws {
        let feed = EventFeed(limit: 2)
        let reader = try feed.subscribe(EventFilter(), after: nil)
        feed.publish(try job("a"))
        feed.close()
        #expect(functions(try await reader.next()) == ["a"])
        #expect(try await reader.next()?.events.count == nil)
        let late = try feed.subscribe(EventFilter(), after: nil)
        #expect(try await late.next()?.events.count == nil)
    }
}
