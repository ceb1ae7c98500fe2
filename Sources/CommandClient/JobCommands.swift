import ArgumentParser
import RawJSON

struct WaitCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "wait", abstract: "Waits for the end of jobs; prints id and state of each.")

    @Argument(help: "Jobs.")
    var ids: [String]

    @Option(help: "Seconds to wait at most.")
    var within: Double?

    @OptionGroup(title: "Server")
    var server: ServerOptions

    func run(_ api: ServerAPI) async throws {
        let failures = try await withThrowingTaskGroup(of: JobView.self) { group in
            for id in ids {
                group.addTask { try await api.wait(id, seconds: within) }
            }
            var failures: [ClientFailure] = []
            for try await job in group {
                Terminal.say(server.json ? job.json.line : "\(job.id) \(job.state)")
                if let failure = job.failure { failures.append(failure) }
            }
            return failures
        }
        for failure in failures { Terminal.complain(failure.message) }
        // What has gone wrong for good goes before what may still end.
        if let worst = failures.map(\.status).min(by: { $0.rawValue < $1.rawValue }) {
            throw ClientFailure(worst)
        }
    }
}

struct ResultCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "result", abstract: "Prints a job's result, byte for byte.")

    @Argument(help: "The job.")
    var id: String

    @Flag(name: .shortAndLong, help: "Wait for the end first.")
    var wait = false

    @OptionGroup(title: "Server")
    var server: ServerOptions

    func run(_ api: ServerAPI) async throws {
        if wait { _ = try await api.wait(id, seconds: nil) }
        // A job that has not ended is told by 202, and its document must not pass for a result.
        let job = try await api.job(id)
        guard job.isOver else { throw job.failure ?? ClientFailure(.unfinished) }
        guard job.state == "succeeded" else { throw job.failure ?? ClientFailure(.failed) }
        try await api.stream("/v1/jobs/\(escaped(id))/result") { Terminal.write($0) }
        Terminal.say("")
    }
}

struct ShowCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Prints what there is to say about a job.")

    @Argument(help: "The job.")
    var id: String

    @OptionGroup(title: "Server")
    var server: ServerOptions

    func run(_ api: ServerAPI) async throws {
        let job = try await api.job(id)
        if server.json { return Terminal.say(job.json.line) }
        let rows = job.json.members().filter { $0.name != "error" }.map { name, value in
            [name, value.string ?? value.line]
        }
        Terminal.write(Terminal.table(rows).utf8)
        if !job.error.isEmpty { Terminal.say("error   \(Terminal.printable(job.error))") }
    }
}

struct CancelCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel", abstract: "Stops jobs; prints id and state of each.")

    @Argument(help: "Jobs.")
    var ids: [String]

    @OptionGroup(title: "Server")
    var server: ServerOptions

    func run(_ api: ServerAPI) async throws {
        for id in ids { try await act(api, id, "cancel", server) }
    }
}

struct RetryCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "retry", abstract: "Runs ended jobs again; prints id and state of each.")

    @Argument(help: "Jobs.")
    var ids: [String]

    @Flag(help: "Of a map that succeeded, run the failed items again.")
    var failedItems = false

    @OptionGroup(title: "Server")
    var server: ServerOptions

    func run(_ api: ServerAPI) async throws {
        let action = failedItems ? "retry?items=failed" : "retry"
        for id in ids { try await act(api, id, action, server) }
    }
}

private func act(
    _ api: ServerAPI, _ id: String, _ action: String, _ server: ServerOptions,
) async throws(ClientFailure) {
    let job = JobView(try await api.call("POST", "/v1/jobs/\(escaped(id))/\(action)").json)
    Terminal.say(server.json ? job.json.line : "\(job.id) \(job.state)")
}
