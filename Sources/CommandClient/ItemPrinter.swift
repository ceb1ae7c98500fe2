import RawJSON
import Synchronization

/// Turns the stream of items into lines of results.
final class ItemPrinter: Sendable {
    private let bar: ProgressBar
    private let isWhole: Bool
    private let isSilent: Bool
    private let state = Mutex((part: [UInt8](), next: 0))

    /// - Parameters:
    ///   - bar: above which it prints.
    ///   - isWhole: whether the server's lines are printed as they are.
    ///   - isSilent: whether nothing is printed.
    init(bar: ProgressBar, isWhole: Bool, isSilent: Bool) {
        self.bar = bar
        self.isWhole = isWhole
        self.isSilent = isSilent
    }

    private static let nothing = RawJSON.null.bytes + [UInt8(ascii: "\n")]

    /// Index of the item that comes next.
    var next: Int { state.withLock { $0.next } }

    /// Drops the beginning of a line whose end never came.
    func forgetPart() { state.withLock { $0.part = [] } }

    func take(_ piece: UnsafeRawBufferPointer) {
        let lines = state.withLock { state -> [UInt8] in
            state.part += piece
            var lines: [UInt8] = []
            var start = 0
            while let end = state.part[start...].firstIndex(of: UInt8(ascii: "\n")) {
                let line = RawJSON(trusted: state.part[start..<end])
                start = end + 1
                let index = line.member("index")?.int ?? state.next
                if !isWhole {
                    // Of a map that was stopped: each result stays on the line of its item.
                    for _ in state.next..<max(state.next, index) { lines += Self.nothing }
                }
                state.next = index + 1
                lines += isWhole ? line.bytes : (line.member("result") ?? .null).bytes
                lines.append(UInt8(ascii: "\n"))
            }
            state.part.removeSubrange(..<start)
            return lines
        }
        if !isSilent, !lines.isEmpty { bar.print(lines) }
    }
}
