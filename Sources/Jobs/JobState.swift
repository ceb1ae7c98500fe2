/// Where a job stands.
///
///                   ┌────────── retry, lost worker, restart ─────────┐
///                   ▼                                                │
///     submit ──► queued ──── Dispatcher, when a pool has room ──► running ──► succeeded
///                   │                                                │  └───► failed
///                   │ cancel                                  cancel │
///                   ▼                                                ▼
///               cancelled ◄── JobRun, when nothing of it runs ── cancelling
///
/// A job whose `not_before` lies ahead is `queued`; the dispatcher's timer takes it on.
/// `succeeded`, `failed` and `cancelled` are ends; only a request to retry leaves them.
package enum JobState: String, Sendable, CaseIterable {
    case queued
    case running
    case cancelling
    case succeeded
    case failed
    case cancelled

    /// Whether nothing will happen to the job any more by itself.
    package var isEnd: Bool {
        switch self {
        case .queued, .running, .cancelling: false
        case .succeeded, .failed, .cancelled: true
        }
    }
}
