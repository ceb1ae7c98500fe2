import Jobs

/// Changes of jobs that do not run: one at a time for a job, so that a cancel that meets a retry
/// comes before it or after it, and not between its two steps.
///
/// It belongs to the actor that uses it.
final class JobChanges {
    /// Who waits for the change that is under way.
    private var waiting: [JobID: [UnsafeContinuation<Void, Never>]] = [:]

    func isUnderWay(_ id: JobID) -> Bool { waiting[id] != nil }

    /// Waits for the changes before; `end` must follow.
    func begin(_ id: JobID) async {
        while waiting[id] != nil {
            await withUnsafeContinuation { waiting[id]?.append($0) }
        }
        waiting[id] = []
    }

    func end(_ id: JobID) {
        for next in waiting.removeValue(forKey: id) ?? [] { next.resume() }
    }
}
