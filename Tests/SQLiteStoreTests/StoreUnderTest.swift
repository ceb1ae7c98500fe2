import Foundation
import Jobs
import RawJSON
import SQLiteStore
import TestSupport

/// The stores that keep the same promises.
enum StoreKind: String, CaseIterable, Sendable {
    case memory, sqlite
    /// SQLite with every submission and result in a file of its own.
    case sqliteWithFiles

    /// Runs a test with an empty store, whose folder goes afterwards.
    func withStore(_ body: (any JobStore) async throws -> Void) async throws {
        switch self {
        case .memory: try await body(MemoryJobStore())
        case .sqlite, .sqliteWithFiles:
            try await withFolder { folder in
                var settings = SQLiteJobStore.Settings()
                if self == .sqliteWithFiles { settings.inlineBytes = 0 }
                let store = try SQLiteJobStore(directory: folder, settings: settings)
                defer { store.close() }
                try await body(store)
            }
        }
    }
}

/// Runs a test with the path of a fresh folder.
func withFolder(_ body: (String) async throws -> Void) async throws {
    let folder = FileManager.default.temporaryDirectory
        .appendingPathComponent("martlet-store-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    // The system's temporary folder is emptied by the system if this fails.
    defer { try? FileManager.default.removeItem(at: folder) }
    try await body(folder.path)
}

/// Makes jobs whose ids grow in the order they are made.
struct JobMaker {
    let ids = JobIDGenerator()
    let start = Timestamp(microseconds: 1_700_000_000_000_000)

    func job(
        _ document: String = #"{"function":"add","args":[1,2]}"#, pool: PoolKind = .process,
        notBefore: Timestamp? = nil, key: String? = nil, createdAt: Timestamp? = nil,
    ) throws -> Job {
        Job(
            id: ids.next(at: start),
            submission: try JobSubmission(parsing: RawJSON(validating: Array(document.utf8))),
            pool: pool, createdAt: createdAt ?? start, notBefore: notBefore, idempotencyKey: key)
    }
}

/// The result of a job, wherever its store has it.
func result(of job: Job, in store: any JobStore) async throws -> RawJSON? {
    guard job.result == nil, let size = job.unreadResultBytes, let endedAt = job.endedAt else {
        return job.result
    }
    let bytes = try await store.result(of: job.id, endedAt: endedAt, from: 0, maxBytes: size)
    return bytes.map { RawJSON(trusted: $0[...]) }
}

extension Job {
    /// Of the result, read or not; nil when there is none.
    var resultBytes: Int? { result?.bytes.count ?? unreadResultBytes }
}

extension JobStore {
    /// With every function there.
    func queued(
        in pool: PoolKind, dueAt time: Timestamp, limit: Int, maxBytes: Int,
        leavingOut isKnown: @escaping @Sendable (JobID) -> Bool,
    ) async throws(StoreError) -> [Job] {
        try await queued(
            in: pool, dueAt: time, limit: limit, maxBytes: maxBytes,
            leavingOutFunctions: { _ in false }, leavingOut: isKnown)
    }
}
