/// Where a function runs.
package enum PoolKind: String, Sendable, CaseIterable {
    /// On threads of one process: for work that waits, or releases Python's global lock.
    case thread
    /// One call at a time in each worker process: for work that computes.
    case process
    /// Thousands of calls at once on one event loop: for coroutines that wait.
    case async
}
