import Foundation
import Jobs
import RawJSON
import SQLiteStore
import TestSupport

/// The stores that keep the same promises.
enum StoreKind: String, CaseIterable, Sendable {
    case memory, sqlite

    /// Runs a test with an empty store, whose folder goes afterwards.
    func withStore(_ body: (any JobStore) async throws -> Void) async throws {
        switch self {
        case .memory: try await body(MemoryJobStore())
        case .sqlite:
            try await withFolder { folder in
                let store = try SQLiteJobStore(directory: folder)
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
