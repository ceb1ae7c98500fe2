package import ArgumentParser
import CommandClient
import Functions
import Glibc
import Jobs
import Sockets

/// The command line.
package struct MartletCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "martlet", abstract: "Runs compute jobs in parallel, over HTTP.",
        version: Release.version,
        subcommands: [
            ServeCommand.self, ConfigCommand.self, BackupCommand.self, CompactCommand.self,
            DoctorCommand.self, WorkerCommand.self,
        ],
        groupedSubcommands: [CommandGroup(name: "Client", subcommands: ClientCommands.all)],
        defaultSubcommand: ServeCommand.self)

    package init() {}

    /// Does what the process's arguments say, then ends the process.
    ///
    /// A server's stop signals are blocked before any other thread starts, so that all inherit it;
    /// everything else keeps their default, which ends it at once. The main thread only sleeps:
    /// Dispatch would wait on it with all signals unblocked.
    package static func launch() -> Never {
        let first = CommandLine.arguments.dropFirst().first ?? "serve"
        refuseUnknown(first)
        if first == "serve" || first.hasPrefix("-") {
            SignalWatch.block([SIGTERM, SIGINT, SIGHUP])
        }
        // Dispatch, which keeps the time for `Task.sleep`, asks for a priority that only root may have,
        // and tells the system's log each time that it got none.
        setenv("LIBDISPATCH_LOG", "NO", 0)
        // A task of its own, since there is no asynchronous caller above.
        Task.detached {
            await main(nil)
            Glibc.exit(0)
        }
        while true { pause() }
    }

    /// Says which command was meant: the parser would take the word for an argument of `serve`.
    private static func refuseUnknown(_ word: String) {
        let names = configuration.subcommands.compactMap { $0.configuration.commandName }
        guard !word.hasPrefix("-"), !names.contains(word), word != "help" else { return }
        let hint = Spelling.nearest(to: word, among: names).map { " Did you mean \($0)?" }
        complain("Error: there is no command \"\(word)\".\(hint ?? "") See martlet --help.")
        Glibc.exit(ExitCode.validationFailure.rawValue)
    }
}

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Starts the server; ends on SIGTERM or Ctrl-C.")

    @OptionGroup var flags: ServerFlags

    func run() async throws {
        let sources = try flags.resolve()
        try await Server(sources.configuration, warnings: sources.warnings).run()
    }
}

struct WorkerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker", abstract: "Runs native functions for a server (internal).",
        shouldDisplay: false)

    func run() async {
        await NativeWorker(fd: 3, functions: NativeCatalogue().functions).run()
    }
}
