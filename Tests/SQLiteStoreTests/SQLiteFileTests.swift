import GRDB
import Jobs
import SQLiteStore
import Testing

/// What the SQLite store promises about its file and its transactions.
@Suite struct SQLiteFileTests {
    let make = JobMaker()

    @Test func `a bad change does not hurt those committed with it`() async throws {
        try await withFolder { folder in
            let store = try SQLiteJobStore(directory: folder)
            defer { store.close() }
            let twice = try make.job()
            _ = try await store.insert([twice])
            let jobs = try (0..<50).map { _ in try make.job() }
            let failures = await withTaskGroup(of: Bool.self) { group in
                for job in jobs + [twice] {
                    group.addTask { (try? await store.insert([job])) == nil }
                }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(failures == 1)
            #expect(try await store.counts().map(\.count) == [51])
        }
    }

    @Test func `a file of a later version is refused`() async throws {
        try await withFolder { folder in
            try SQLiteJobStore(directory: folder).close()
            let queue = try DatabaseQueue(path: folder + "/martlet.sqlite")
            try await queue.write { database in
                try database.execute(sql: "INSERT INTO grdb_migrations VALUES ('999')")
            }
            try queue.close()
            let error = #expect(throws: StoreError.self) {
                _ = try SQLiteJobStore(directory: folder)
            }
            #expect(error?.description.contains("later version") == true)
        }
    }

    @Test func `the table allows the states of the enum and no other`() async throws {
        try await withFolder { folder in
            try SQLiteJobStore(directory: folder).close()
            let queue = try DatabaseQueue(path: folder + "/martlet.sqlite")
            let sql = try await queue.read { database in
                try String.fetchOne(
                    database, sql: "SELECT sql FROM sqlite_master WHERE name = 'jobs'")
            }
            let states = try #require(sql).matches(of: /state = '(\w+)'/).map {
                String($0.output.1)
            }
            #expect(Set(states) == Set(JobState.allCases.map(\.rawValue)))
        }
    }
}
