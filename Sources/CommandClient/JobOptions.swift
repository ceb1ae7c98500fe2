import ArgumentParser
import RawJSON

/// The members of a submission that single calls and maps have in common.
struct JobOptions: ParsableArguments {
    @Option(help: "thread, process or async. (default: the function's)")
    var pool: String?

    @Option(help: "Name of the queue.")
    var queue: String?

    @Option(help: "-1000 to 1000; higher ones run first.")
    var priority: Int?

    @Option(help: "Seconds for an attempt; of a map, for one item.")
    var timeout: Double?

    @Option(help: "Seconds before it may start.")
    var delay: Double?

    @Option(help: "Time before which it does not start, RFC 3339.")
    var notBefore: String?

    @Option(help: "Seconds that the result is kept.")
    var keep: Double?

    @Option(help: "A tag to find it by. Repeatable.")
    var tag: [String] = []

    @Option(help: "Slots of the pool that a call takes. (default: the function's)")
    var cpus: Int?

    @Option(help: "Attempts in all.")
    var maxAttempts: Int?

    @Option(help: "Key under which a repeated command finds the first one's job.")
    var idempotencyKey: String?

    @Flag(help: "Answer with a unique job of the same call that waits or runs, if there is one.")
    var unique = false

    @Option(help: "Answer with a result of the same call not older than so many seconds.")
    var cache: Double?

    /// Appends the members that are given.
    func write(to writer: inout JSONWriter) {
        if let pool { writer.member("pool", pool) }
        if let queue { writer.member("queue", queue) }
        if let priority { writer.member("priority", priority) }
        if let timeout { writer.member("timeout", timeout) }
        if let delay { writer.member("delay", delay) }
        if let notBefore { writer.member("not_before", notBefore) }
        if let keep { writer.member("keep", keep) }
        if !tag.isEmpty { writer.member("tags", tag) }
        if let cpus { writer.member("cpus", cpus) }
        if unique { writer.member("unique", true) }
        if let cache { writer.member("cache", cache) }
        if let maxAttempts {
            writer.key("retry")
            writer.beginObject()
            writer.member("max_attempts", maxAttempts)
            writer.endObject()
        }
    }

    var headers: [(name: String, value: String)] {
        idempotencyKey.map { [("Idempotency-Key", $0)] } ?? []
    }
}

/// How an argument on the command line becomes a JSON value.
enum ArgumentValue {
    /// What is JSON is taken as it is, anything else as a string.
    static func read(_ text: String) -> RawJSON {
        if let json = try? RawJSON(validating: Array(text.utf8)) { return json }
        var writer = JSONWriter()
        writer.value(text)
        return RawJSON(trusted: writer.bytes[...])
    }

    /// JSON itself, of a file after `@`, or of stdin for `-`.
    static func document(_ text: String) throws(ClientFailure) -> RawJSON {
        let bytes =
            if text == "-" {
                try InputFile.read("-")
            } else if text.hasPrefix("@") {
                try InputFile.read(String(text.dropFirst()))
            } else {
                Array(text.utf8)
            }
        do throws(RawJSONError) {
            return try RawJSON(validating: bytes)
        } catch {
            throw ClientFailure(.refused, "what is given is not JSON: \(error)")
        }
    }
}
