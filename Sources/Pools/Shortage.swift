import Sockets

/// How long descriptors or processes have been short for the start of a process.
///
/// Others give them back, mostly soon: what waits for the start waits for that, but not for ever.
struct Shortage {
    static let patience = Duration.seconds(10)

    private let patience: Duration
    private var begin: LoopInstant?

    init(patience: Duration = Self.patience) { self.patience = patience }

    /// Whether a start that failed is worth waiting for another.
    mutating func isToPass(after error: SocketError) -> Bool {
        guard error.isShortage else { return false }
        let now = LoopInstant.current()
        let begin = begin ?? now
        self.begin = begin
        return now - begin < patience
    }

    /// A process could be started.
    mutating func end() { begin = nil }
}
