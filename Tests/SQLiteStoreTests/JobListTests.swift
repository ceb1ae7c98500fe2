import Jobs
import RawJSON
import SQLiteStore
import TestSupport
import Testing

/// The SQLite store's lists and counts, held against those of the memory store, which looks at
/// every job.
@Suite struct JobListTests {
    private let make = JobMaker()
    private let functions = ["resize", "resize_all", "train", "4f"]
    private let queues = ["default", "night"]
    private let tags = ["red", "green", "train"]

    /// Jobs in all states, made the same way each time.
    private func jobs(_ count: Int) throws -> [Job] {
        var random = SplitMix(state: 7)
        return try (0..<count).map { _ in
            let chosen = tags.filter { _ in random.next() % 3 == 0 }
                .map { "\"\($0)\"" }.joined(separator: ",")
            let document = """
                {"function":"\(functions[Int(random.next() % 4)])","tags":[\(chosen)],\
                "queue":"\(queues[Int(random.next() % 2)])","priority":\(random.next() % 3)}
                """
            var job = try make.job(document)
            job.state = JobState.allCases[Int(random.next() % 6)]
            return job
        }
    }

    /// Both stores after the same life: submitted, brought to a state, some of them deleted.
    private func fill(_ stores: [any JobStore], _ jobs: [Job]) async throws {
        for store in stores {
            var fresh = jobs
            for index in fresh.indices { fresh[index].state = .queued }
            _ = try await store.insert(fresh)
            for job in jobs where job.state != .queued { try await store.update(job, adding: []) }
            for job in jobs.prefix(20) { #expect(try await store.delete(job.id)) }
        }
    }

    private var queries: [JobQuery] {
        var queries: [JobQuery] = []
        for state in [nil] + JobState.allCases {
            for function in [nil, "resize", "none"] {
                for queue in [nil, "night"] {
                    for tag in [nil, "red"] {
                        for search in [nil, "resize", "train", "4f", "018bcfe5"] {
                            queries.append(
                                JobQuery(
                                    state: state, function: function, queue: queue, tag: tag,
                                    search: search, limit: 7))
                        }
                    }
                }
            }
        }
        return queries
    }

    @Test func `every filter gives the same pages as a look at every job`() async throws {
        try await withFolder { folder in
            let sqlite = try SQLiteJobStore(directory: folder)
            defer { sqlite.close() }
            let memory = MemoryJobStore()
            let jobs = try jobs(300)
            try await fill([memory, sqlite], jobs)
            var found = 0
            for var query in queries {
                for _ in 0..<4 {
                    let expected = try await memory.list(query).map(\.id)
                    #expect(try await sqlite.list(query).map(\.id) == expected, "\(query)")
                    found += expected.count
                    query.before = expected.last ?? jobs[150].id
                }
            }
            #expect(found > 2000)
            let counts = try await memory.counts()
            #expect(try await sqlite.counts() == counts)
            let findings = try StoreDoctor.examine(folder).findings.map(\.text)
            // The jobs were brought to their ends by force, without times.
            #expect(findings.count == 1, "\(findings)")
        }
    }

    @Test func `a search for a whole id finds the job`() async throws {
        try await withFolder { folder in
            let store = try SQLiteJobStore(directory: folder)
            defer { store.close() }
            let jobs = try jobs(30)
            _ = try await store.insert(jobs)
            for job in jobs {
                let text = job.id.description
                #expect(try await store.list(JobQuery(search: text)).map(\.id) == [job.id])
                #expect(
                    try await store.list(JobQuery(search: String(text.prefix(18)))).map(\.id)
                        == [job.id])
            }
            #expect(try await store.list(JobQuery(search: "018bcfe5-6800-4")).isEmpty)
        }
    }

    @Test func `a list shows tags, sizes and failures without the submission`() async throws {
        try await withFolder { folder in
            let store = try SQLiteJobStore(directory: folder)
            defer { store.close() }
            var job = try make.job(#"{"function":"f","map":[1,2,3],"tags":["a"],"priority":4}"#)
            job.state = .failed
            job.failure = Failure(.exit, type: "Exit", message: "m", exitStatus: 3)
            _ = try await store.insert([job])
            let listed = try #require(try await store.list(JobQuery()).first)
            #expect(listed.submission.tags == ["a"])
            #expect(listed.submission.priority == 4)
            #expect(listed.failure == job.failure)
            guard case .map(_, 3, _) = listed.submission.work else {
                Issue.record("it is not shown as a map of three items")
                return
            }
        }
    }
}

/// Numbers that are the same at each run (SplitMix64, Steele and others 2014).
private struct SplitMix {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }
}
