import ArgumentParser
import RawJSON

struct ListCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists jobs, the newest first.")

    @Option(help: "queued, running, cancelling, succeeded, failed or cancelled.")
    var state: String?

    @Option(help: "Only of this function.")
    var function: String?

    @Option(help: "Only of this queue.")
    var queue: String?

    @Option(help: "Only with this tag.")
    var tag: String?

    @Option(name: [.customShort("n"), .long], help: "How many at most.")
    var limit = 20

    @Flag(help: "All there are.")
    var all = false

    @Flag(name: .shortAndLong, help: "Print ids alone.")
    var quiet = false

    @OptionGroup(title: "Server")
    var server: ServerOptions

    func validate() throws {
        guard limit >= 1 else { throw ValidationError("--limit must be 1 or more") }
    }

    func run(_ api: ServerAPI) async throws {
        var left = all ? Int.max : limit
        var cursor: String?
        var isFirst = true
        repeat {
            let page = try await api.call("GET", path(limit: min(left, 1000), cursor)).json
            let jobs = (page.member("jobs")?.elements() ?? []).map(JobView.init)
            show(jobs, isFirst: isFirst)
            isFirst = false
            left -= jobs.count
            cursor = page.member("next_cursor")?.string
        } while cursor != nil && left > 0
    }

    private func path(limit: Int, _ cursor: String?) -> String {
        let filters = [
            ("state", state), ("function", function), ("queue", queue), ("tag", tag),
            ("cursor", cursor),
        ]
        return filters.reduce("/v1/jobs?limit=\(limit)") { path, filter in
            filter.1.map { "\(path)&\(filter.0)=\(escaped($0))" } ?? path
        }
    }

    private func show(_ jobs: [JobView], isFirst: Bool) {
        if server.json || quiet {
            let lines = jobs.map { (quiet ? $0.id : $0.json.line) + "\n" }
            return Terminal.write(lines.joined().utf8)
        }
        var rows = isFirst ? [["ID", "STATE", "FUNCTION", "QUEUE", "CREATED", "ITEMS"]] : []
        for job in jobs {
            let items = job.progress.map { "\($0.done)/\($0.total)" } ?? ""
            rows.append([
                job.id, job.state, job.text("function"), job.text("queue"),
                job.second("created_at"), items,
            ])
        }
        Terminal.write(Terminal.table(rows).utf8)
    }
}

struct FunctionsCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "functions", abstract: "Lists what can be called, or tells of one function.")

    @Argument(help: "A function.")
    var name: String?

    @OptionGroup(title: "Server")
    var server: ServerOptions

    func run(_ api: ServerAPI) async throws {
        if let name {
            let function = try await api.call("GET", "/v1/functions/\(escaped(name))").json
            if server.json { return Terminal.say(function.line) }
            return describe(function)
        }
        let list = try await api.call("GET", "/v1/functions").json
        let functions = list.member("functions")?.elements() ?? []
        if server.json {
            for function in functions { Terminal.say(function.line) }
        } else {
            let rows = functions.map { function in
                [
                    Self.cut(Self.signature(function), 48),
                    function.member("runtime")?.string ?? "",
                    pools(function), summary(function),
                ]
            }
            Terminal.write(Terminal.table([["FUNCTION", "RUNTIME", "POOLS", ""]] + rows).utf8)
        }
        for file in list.member("broken")?.elements() ?? [] {
            let name = file.member("file")?.string ?? ""
            Terminal.complain("\(name): \(file.member("error")?.string ?? "")")
        }
    }

    private func describe(_ function: RawJSON) {
        Terminal.say(Terminal.printable(Self.signature(function)))
        let source = function.member("source")?.string.map { " of \($0)" } ?? ""
        let runtime = function.member("runtime")?.string ?? ""
        Terminal.say(Terminal.printable("\(runtime)\(source), on \(pools(function))"))
        let text = function.member("doc")?.string ?? ""
        if !text.isEmpty { Terminal.say("\n" + Terminal.printable(text)) }
    }

    /// Name and parameters, those that may be left out in brackets.
    static func signature(_ function: RawJSON) -> String {
        let schema = function.member("parameters")
        let required = schema?.member("required")?.elements().compactMap(\.string) ?? []
        let positional = schema?.member("x-positional")?.elements().compactMap(\.string) ?? []
        let named = schema?.member("properties")?.members().map(\.name) ?? []
        let names = positional + named.filter { !positional.contains($0) }
        let parameters = names.map { required.contains($0) ? $0 : "[\($0)]" }
        return "\(function.member("name")?.string ?? "")(\(parameters.joined(separator: ", ")))"
    }

    private func pools(_ function: RawJSON) -> String {
        (function.member("pools")?.elements().compactMap(\.string) ?? []).joined(separator: ",")
    }

    private func summary(_ function: RawJSON) -> String {
        let text = function.member("doc")?.string ?? ""
        let line = text.split(separator: "\n").first.map(String.init) ?? ""
        return Self.cut(line, 60)
    }

    private static func cut(_ text: String, _ width: Int) -> String {
        text.count > width ? text.prefix(width - 1) + "…" : text
    }
}

struct QueuesCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "queues", abstract: "Lists the queues with their jobs by state.")

    @OptionGroup(title: "Server")
    var server: ServerOptions

    func run(_ api: ServerAPI) async throws {
        let queues = try await api.call("GET", "/v1/queues").json.member("queues")?.elements() ?? []
        if server.json {
            for queue in queues { Terminal.say(queue.line) }
        } else {
            Terminal.write(Terminal.table(QueueTable.rows(queues)).utf8)
        }
    }
}

enum QueueTable {
    static let states = ["queued", "running", "cancelling", "succeeded", "failed", "cancelled"]

    static func rows(_ queues: [RawJSON]) -> [[String]] {
        [["QUEUE"] + states.map { $0.uppercased() }]
            + queues.map { queue in
                [queue.member("name")?.string ?? ""]
                    + states.map { String(queue.member($0)?.int ?? 0) }
            }
    }
}
