import Jobs
import RawJSON
import TestSupport
import Testing

@testable import JobEngine

@Suite struct ResultShelfTests {
    /// A store with the results of two calls, 1,000 digits each.
    private func results() async throws -> (MemoryJobStore, [ResultShelf.Key]) {
        let store = MemoryJobStore()
        let ids = JobIDGenerator(after: 0)
        let end = Timestamp.now()
        var keys: [ResultShelf.Key] = []
        for digit in ["1", "2"] {
            let text = Array("{\"function\":\"f\"}".utf8)
            let submission = try JobSubmission(parsing: try RawJSON(validating: text))
            var job = Job(
                id: ids.next(at: end), submission: submission, pool: .thread, createdAt: end)
            _ = try await store.insert([job])
            job.state = .succeeded
            job.endedAt = end
            job.result = RawJSON(trusted: Array(String(repeating: digit, count: 1000).utf8)[...])
            try await store.update(job, adding: [])
            keys.append(ResultShelf.Key(job: job.id, endedAt: end))
        }
        return (store, keys)
    }

    @Test func `readers of one result share it, and its room is free when they have gone`()
        async throws
    {
        let (store, keys) = try await results()
        let shelf = ResultShelf(store: store, room: 1500)
        do {
            let first = try #require(try await shelf.whole(keys[0], bytes: 1000))
            let second = try #require(try await shelf.whole(keys[0], bytes: 1000))
            #expect(first === second)
            #expect(first.bytes.count == 1000)
            #expect(try await shelf.whole(keys[1], bytes: 1000) == nil)
        }
        #expect(try await shelf.whole(keys[1], bytes: 1000) != nil)
    }

    @Test func `a result that is not there any more takes no room`() async throws {
        let (store, keys) = try await results()
        let shelf = ResultShelf(store: store, room: 1500)
        #expect(try await store.delete(keys[0].job))
        #expect(try await shelf.whole(keys[0], bytes: 1000) == nil)
        #expect(try await shelf.whole(keys[1], bytes: 1000) != nil)
    }

    @Test(arguments: [0, 1500])
    func `a reader gets the same bytes with room and without`(room: Int) async throws {
        let (store, keys) = try await results()
        let shelf = ResultShelf(store: store, room: room)
        let reader = ResultReader(keys[0], size: 1000, store: store, shelf: shelf)
        var read: [UInt8] = []
        while read.count < 1000, let piece = try await reader.read(from: read.count, 300) {
            #expect(piece.count == min(300, 1000 - read.count))
            read += piece
        }
        #expect(read == Array(repeating: UInt8(ascii: "1"), count: 1000))
        #expect(try await store.delete(keys[0].job))
        let other = ResultReader(keys[0], size: 1000, store: store, shelf: shelf)
        // What is on the shelf can be read to its end by those who read it, and by no others.
        #expect(try await other.read(from: 0, 300) == nil)
    }
}
