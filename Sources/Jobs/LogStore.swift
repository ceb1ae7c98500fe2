/// Where the lines are kept that jobs print.
package protocol LogStore: Sendable {
    /// Adds whole lines to the end of a job's log, soon but without waiting for it.
    ///
    /// A log over `limit` bytes takes no more, and a job that is not there none. `saved` is told
    /// when it is done, or has failed.
    func appendLog(
        _ id: JobID, _ text: [UInt8], limit: Int, saved: @escaping @Sendable () -> Void)

    /// Parts of a log in their order, after the one that `cursor` names; 0 for the first.
    func log(_ id: JobID, after cursor: Int64, maxBytes: Int) async throws(StoreError) -> LogPage
}

/// Some lines of a log and where the next ones begin.
package struct LogPage: Sendable, Equatable {
    package var text: [UInt8]
    package var next: Int64

    package init(text: [UInt8], next: Int64) {
        self.text = text
        self.next = next
    }
}
