import ArgumentParser
import RawJSON

struct TopCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "top", abstract: "Shows pools, queues and running jobs, over and over.",
        discussion: "Ends with Ctrl-C. Without a terminal it shows them once.")

    @Option(name: .shortAndLong, help: "Seconds between two looks.")
    var interval = 1.0

    @Flag(help: "Look once and end.")
    var once = false

    @OptionGroup(title: "Server")
    var server: ServerOptions

    func validate() throws {
        guard (0.1...3600).contains(interval) else {
            throw ValidationError("--interval must be 0.1 to 3600")
        }
    }

    func run(_ api: ServerAPI) async throws {
        var last: Look?
        while true {
            let look = try await Look(api)
            if server.json {
                Terminal.say(look.json)
            } else if once || !Terminal.isOutput {
                Terminal.write(look.page(since: last, rows: 1000).utf8)
            } else {
                // Home, the page, and away with what is below it.
                let page = look.page(since: last, rows: Terminal.height - 1)
                let lines = page.split(separator: "\n", omittingEmptySubsequences: false)
                    .prefix(Terminal.height - 1).map { $0.prefix(Terminal.width) + "\u{1b}[K" }
                Terminal.write("\u{1b}[H\(lines.joined(separator: "\r\n"))\u{1b}[J".utf8)
            }
            if once || (!Terminal.isOutput && !server.json) { return }
            last = look
            try? await Task.sleep(for: .milliseconds(Int(interval * 1000)))
        }
    }
}

/// The state of a server at one moment.
private struct Look {
    private let time = ContinuousClock.now
    private let pools: RawJSON
    private let queues: RawJSON
    private let running: RawJSON

    init(_ api: ServerAPI) async throws(ClientFailure) {
        pools = try await api.call("GET", "/v1/pools").json.member("pools") ?? .emptyArray
        queues = try await api.call("GET", "/v1/queues").json.member("queues") ?? .emptyArray
        let path = "/v1/jobs?state=running&limit=50"
        running = try await api.call("GET", path).json.member("jobs") ?? .emptyArray
    }

    var json: String {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("pools", pools)
        writer.member("queues", queues)
        writer.member("running", running)
        writer.endObject()
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    func page(since last: Look?, rows: Int) -> String {
        var page = "\(waiting) waiting, \(ended) ended"
        if let last { page += ", \(rate(since: last)) a second" }
        page += "\n\n" + Terminal.table(poolRows) + "\n"
        page += Terminal.table(QueueTable.rows(queues.elements())) + "\n"
        let used = page.count { $0 == "\n" }
        return page + Terminal.table(Array(jobRows.prefix(max(2, rows - used))))
    }

    private func count(_ states: [String]) -> Int {
        queues.elements().reduce(0) { sum, queue in
            sum + states.reduce(0) { $0 + (queue.member($1)?.int ?? 0) }
        }
    }

    private var waiting: Int { count(["queued"]) }
    private var ended: Int { count(["succeeded", "failed", "cancelled"]) }

    /// Jobs ended in between; those that were forgotten meanwhile are not seen.
    private func rate(since last: Look) -> Int {
        let seconds = (time - last.time) / .seconds(1)
        return max(0, Int(Double(ended - last.ended) / max(seconds, 0.001)))
    }

    private var poolRows: [[String]] {
        [["POOL", "LOAD", "RUNNING", "SLOTS", "WORKERS"]]
            + pools.elements().map { pool in
                let running = pool.member("running")?.int ?? 0
                let slots = pool.member("slots")?.int ?? 0
                let full = slots > 0 ? min(20, (running * 20 + slots - 1) / slots) : 0
                return [
                    pool.member("name")?.string ?? "",
                    String(repeating: "█", count: full) + String(repeating: "░", count: 20 - full),
                    String(running), String(slots), String(pool.member("workers")?.int ?? 0),
                ]
            }
    }

    private var jobRows: [[String]] {
        [["RUNNING", "FUNCTION", "POOL", "ATTEMPT", "STARTED", "ITEMS"]]
            + running.elements().map(JobView.init).map { job in
                [
                    job.id, job.text("function"), job.text("pool"), String(job.attempt),
                    job.second("started_at"), job.progress.map { "\($0.done)/\($0.total)" } ?? "",
                ]
            }
    }
}
