import Synchronization

/// How many answers of one loop are being compressed, which is bounded: what compresses takes up to
/// two mebibytes, for as long as the client takes to read.
final class LiveCoders: Sendable {
    private let limit: Int
    private let count = Atomic<Int>(0)

    init(limit: Int) { self.limit = limit }

    /// A new coder; nil when there are as many as may be, or no memory for it.
    ///
    /// To be called on the loop's thread.
    func take(_ kind: any ContentCoder.Type) -> LiveCoder? {
        guard count.load(ordering: .relaxed) < limit, let coder = kind.init() else { return nil }
        count.wrappingAdd(1, ordering: .relaxed)
        return LiveCoder(coder, among: self)
    }

    fileprivate func ended() { count.wrappingSubtract(1, ordering: .relaxed) }
}

/// A coder on its way between the loop and the thread; the answer's pieces come one after another.
final class LiveCoder: @unchecked Sendable {
    // Unchecked: `Compression` awaits each use before the next begins.
    private var coder: (any ContentCoder)?
    private let others: LiveCoders

    fileprivate init(_ coder: any ContentCoder, among others: LiveCoders) {
        self.coder = coder
        self.others = others
    }

    deinit { end() }

    /// Whether the last piece was coded.
    var isOver: Bool { coder == nil }

    /// What `bytes` become.
    ///
    /// The coder goes with the last of them, while they wait for their client.
    func code(_ bytes: [UInt8], isLast: Bool) -> [UInt8] {
        defer { if isLast { end() } }
        return coder?.code(bytes, isLast: isLast) ?? []
    }

    /// The same on the thread that the caller's task prefers.
    @concurrent func codeElsewhere(_ bytes: [UInt8], isLast: Bool) async -> [UInt8] {
        code(bytes, isLast: isLast)
    }

    private func end() {
        guard coder != nil else { return }
        coder = nil
        others.ended()
    }
}
