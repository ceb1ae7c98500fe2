package import ArgumentParser

/// The commands that talk to a running server.
package enum ClientCommands {
    package static let all: [any ParsableCommand.Type] = [
        SubmitCommand.self, MapCommand.self, WaitCommand.self, ResultCommand.self,
        ShowCommand.self, LogsCommand.self, ListCommand.self, CancelCommand.self, RetryCommand.self,
        FunctionsCommand.self, QueuesCommand.self, TopCommand.self, BenchCommand.self,
    ]
}

/// A command that talks to a server and ends with a documented status.
protocol ClientCommand: AsyncParsableCommand {
    var server: ServerOptions { get }

    /// - Throws: `ClientFailure`, whose message goes to stderr and whose status to the shell.
    func run(_ api: ServerAPI) async throws
}

extension ClientCommand {
    func run() async throws {
        do {
            try await run(try server.connect())
        } catch let failure as ClientFailure {
            if !failure.message.isEmpty { Terminal.complain(failure.message) }
            throw ExitCode(failure.status.rawValue)
        }
    }
}

/// With what status a command ends; also in the manual page.
enum ExitStatus: Int32 {
    /// A job, or an item of a map, has failed.
    case failed = 1
    /// The server did not take the request.
    case refused = 2
    /// There is no server, or the connection to it broke.
    case unreachable = 3
    /// The token is missing or wrong.
    case unauthorized = 4
    /// There is no such job, function or result.
    case notFound = 5
    /// A job was cancelled.
    case cancelled = 6
    /// A job has not ended in the time given.
    case unfinished = 7
}

/// Why a command does not do what it should.
struct ClientFailure: Error {
    let status: ExitStatus
    /// For a person; empty when all has been said.
    let message: String

    init(_ status: ExitStatus, _ message: String = "") {
        self.status = status
        self.message = message
    }
}
