import WebClient

/// Sends the lines of an input as the items of an upload, while they come.
struct ItemFeed: Sendable {
    private let body: WebUpload
    private let input: InputLines
    private let items: MapItems

    /// After so long without an item an empty line is sent: the server gives up a silent client.
    private static let silence = Duration.seconds(5)

    init(_ body: WebUpload, _ input: InputLines, _ items: MapItems) {
        self.body = body
        self.input = input
        self.items = items
    }

    /// Reads to the end, or until the items are not wanted any more.
    ///
    /// It blocks its thread.
    func run() async throws(ClientFailure) {
        var input = input
        var last = ContinuousClock.now
        while body.isWanted, !Task.isCancelled {
            switch try input.next() {
            case .end: return body.finish()
            case .silence:
                guard last + Self.silence < .now else { continue }
                _ = await body.put([UInt8(ascii: "\n")])
            case .lines(let lines): _ = await body.put(try items.ndjson(lines))
            }
            last = .now
        }
    }
}
