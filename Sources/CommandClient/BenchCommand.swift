import ArgumentParser
import RawJSON
import Synchronization

struct BenchCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measures jobs a second, from submission to result.",
        discussion: "Every job is stored as any other. Use it on a server of your own.")

    @Option(help: "What to call.")
    var function = "square"

    @Option(help: "Its arguments, a JSON array or object.")
    var args = "[12345]"

    @Option(help: "Jobs under way at once, each on a connection.")
    var connections = 64

    @Option(help: "How long.")
    var seconds = 5.0

    @OptionGroup(title: "Server")
    var server: ServerOptions

    func validate() throws {
        guard (1...10_000).contains(connections) else {
            throw ValidationError("--connections must be 1 to 10000")
        }
        guard (0.1...3600).contains(seconds) else {
            throw ValidationError("--seconds must be 0.1 to 3600")
        }
    }

    func run(_ api: ServerAPI) async throws {
        let body = try submission()
        // One for the worker's start, and to see whether it works at all.
        try await submit(body, api)
        let start = ContinuousClock.now
        let end = start + .milliseconds(Int(seconds * 1000))
        let times = try await withThrowingTaskGroup(of: [Double].self) { group in
            for _ in 0..<connections {
                group.addTask {
                    var times: [Double] = []
                    while ContinuousClock.now < end {
                        let began = ContinuousClock.now
                        try await submit(body, api)
                        times.append((ContinuousClock.now - began) / .milliseconds(1))
                    }
                    return times
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        report(times.sorted(), seconds: (ContinuousClock.now - start) / .seconds(1))
    }

    private func submission() throws(ClientFailure) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("function", function)
        writer.member("args", try ArgumentValue.document(args))
        writer.endObject()
        return writer.bytes
    }

    private func submit(_ body: [UInt8], _ api: ServerAPI) async throws(ClientFailure) {
        let answer = try await api.call(
            "POST", "/v1/jobs", body: body, headers: [("Prefer", "wait=60")], seconds: 60)
        let job = JobView(answer.json)
        if let failure = job.failure { throw failure }
    }

    private func report(_ times: [Double], seconds: Double) {
        func percentile(_ part: Double) -> Double {
            times.isEmpty ? 0 : times[min(times.count - 1, Int(part * Double(times.count)))]
        }
        let figures: [(name: String, value: Double)] = [
            ("jobs", Double(times.count)), ("seconds", seconds),
            ("jobs_per_second", Double(times.count) / seconds), ("p50_ms", percentile(0.5)),
            ("p90_ms", percentile(0.9)), ("p99_ms", percentile(0.99)),
            ("max_ms", times.last ?? 0),
        ]
        let rounded = figures.map { ($0.name, ($0.value * 1000).rounded() / 1000) }
        if server.json {
            var writer = JSONWriter()
            writer.beginObject()
            for (name, value) in rounded {
                writer.key(named: name)
                writer.value(value)
            }
            writer.endObject()
            Terminal.say(String(decoding: writer.bytes, as: UTF8.self))
        } else {
            Terminal.write(Terminal.table(rounded.map { [$0.0, String($0.1)] }).utf8)
        }
    }
}
