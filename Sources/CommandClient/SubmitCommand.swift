import ArgumentParser
import RawJSON

struct SubmitCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "submit", abstract: "Submits a call; prints the job's id, or its result.",
        discussion: """
            An argument that is JSON is taken as such, anything else as a string: 12 is a number, \
            '"12"' and abc are strings. Arguments after -- may begin with a hyphen.
            """)

    @Argument(help: "What to call.")
    var function: String

    @Argument(help: "Positional arguments.")
    var arguments: [String] = []

    @Option(name: [.short, .customLong("arg")], help: "A named argument. Repeatable.")
    var arg: [String] = []

    @Option(help: "All arguments as one JSON array or object; @FILE, or - for stdin.")
    var args: String?

    @Flag(name: .shortAndLong, help: "Wait for the end and print the result.")
    var wait = false

    @Option(help: "Seconds to wait at most; means --wait.")
    var within: Double?

    @OptionGroup(title: "Job")
    var job: JobOptions

    @OptionGroup(title: "Server")
    var server: ServerOptions

    func validate() throws {
        let ways = [!arguments.isEmpty, !arg.isEmpty, args != nil].count { $0 }
        guard ways <= 1 else {
            throw ValidationError("give positional arguments, --arg or --args, not several of them")
        }
        for pair in arg where !pair.dropFirst().contains("=") {
            throw ValidationError("--arg takes NAME=VALUE, not \"\(pair)\"")
        }
    }

    func run(_ api: ServerAPI) async throws {
        let answer = try await api.call(
            "POST", "/v1/jobs", body: try submission(), headers: job.headers)
        let submitted = JobView(answer.json)
        guard wait || within != nil else {
            return Terminal.say(server.json ? answer.json.line : submitted.id)
        }
        Interrupt.tell(of: submitted.id)
        let ended = try await api.wait(submitted.id, seconds: within)
        Interrupt.tell(of: nil)
        if server.json {
            Terminal.say(ended.json.line)
        } else if let result = ended.result {
            Terminal.say(result.line)
        }
        if let failure = ended.failure { throw failure }
    }

    private func submission() throws(ClientFailure) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("function", function)
        writer.member("args", try callArguments())
        job.write(to: &writer)
        writer.endObject()
        return writer.bytes
    }

    private func callArguments() throws(ClientFailure) -> RawJSON {
        if let args { return try ArgumentValue.document(args) }
        var writer = JSONWriter()
        if arg.isEmpty {
            writer.beginArray()
            for argument in arguments { writer.append(raw: ArgumentValue.read(argument).bytes) }
            writer.endArray()
        } else {
            writer.beginObject()
            for pair in arg {
                let parts = pair.split(
                    separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                writer.key(named: String(parts[0]))
                writer.append(raw: ArgumentValue.read(String(parts[1])).bytes)
            }
            writer.endObject()
        }
        return RawJSON(trusted: writer.bytes[...])
    }
}

extension RawJSON {
    /// On one line, for people and pipes.
    var line: String { String(decoding: compacted().bytes, as: UTF8.self) }
}
