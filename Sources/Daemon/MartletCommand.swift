package import ArgumentParser
import CommandClient
import Functions
import Glibc
import Logging
import Sockets

/// The command line.
package struct MartletCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "martlet", abstract: "Runs compute jobs in parallel, over HTTP.",
        version: "0.1.0",
        subcommands: [
            ServeCommand.self, BackupCommand.self, CompactCommand.self, DoctorCommand.self,
            WorkerCommand.self,
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
        if first == "serve" || first.hasPrefix("-") {
            SignalWatch.block([SIGTERM, SIGINT, SIGHUP])
        }
        // A task of its own, since there is no asynchronous caller above.
        Task.detached {
            await main(nil)
            Glibc.exit(0)
        }
        while true { pause() }
    }
}

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Starts the server; ends on SIGTERM or Ctrl-C.")

    @Option(help: "Folder of the store.")
    var data = "martlet-data"

    @Option(help: "Folder or file of Python functions and executables.")
    var functions: String?

    @Option(help: "Worker processes of the process pool (default: CPUs).")
    var processes: Int?

    @Option(help: "Threads of the thread pool (default: CPUs, at least 4).")
    var threads: Int?

    @Option(help: "Calls at once on the async pool.")
    var asyncLimit = 10_000

    @Option(help: "The Python to run functions with, 3.9 or later.")
    var python = "python3"

    @Option(help: "Seconds that requests and jobs have to end when the server stops.")
    var drainSeconds = 10.0

    @Option(help: "Jobs waiting and running in all (default: 1000000).")
    var maxQueued: Int?

    @Option(help: "Bytes of all blobs together (default: 8589934592).")
    var maxBlobBytes: Int?
    @Option(help: "Bytes that the store may hold (default: as many as the disk has).")
    var maxStoreBytes: Int64?

    @Option(help: "Streams of events at once (default: 1000).")
    var maxEventStreams: Int?

    @Option(help: "How the log on stderr is written: text or json.")
    var logFormat = LogFormat.text

    @Option(help: "File with the token that clients must send; or set MARTLET_TOKEN.")
    var tokenFile: String?

    @Flag(help: "Offer martlet.call, which runs calls that Python clients send as pickles.")
    var allowPickle = false

    @OptionGroup(title: "HTTP")
    var http: HTTPOptions

    @OptionGroup(title: "Workers")
    var workers: WorkerOptions

    @OptionGroup(title: "Fetch")
    var fetch: FetchOptions

    func run() async throws {
        var configuration = Configuration()
        try http.apply(to: &configuration)
        configuration.fetch = fetch.settings
        configuration.workers = workers.rules
        configuration.maxWorkerDeaths = workers.maxWorkerDeaths
        configuration.data = data
        configuration.functions = functions
        configuration.python = python
        configuration.asyncLimit = asyncLimit
        configuration.drainSeconds = drainSeconds
        configuration.allowsPickle = allowPickle
        if let processes { configuration.processes = processes }
        if let threads { configuration.threads = threads }
        if let maxQueued { configuration.maxQueued = maxQueued }
        if let maxBlobBytes { configuration.maxBlobBytes = maxBlobBytes }
        configuration.maxStoreBytes = maxStoreBytes
        if let maxEventStreams { configuration.maxEventStreams = maxEventStreams }
        configuration.logFormat = logFormat
        configuration.token = try token()
        let problems = configuration.problems
        guard problems.isEmpty else { throw ValidationError(problems.joined(separator: "\n")) }
        try await Server.run(configuration)
    }

    private func token() throws -> String? {
        guard let tokenFile else { return getenv("MARTLET_TOKEN").map { String(cString: $0) } }
        guard let file = fopen(tokenFile, "r") else {
            throw ValidationError("cannot read --token-file \(tokenFile)")
        }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes.prefix(count).prefix { $0 > 32 }, as: UTF8.self)
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

extension LogFormat: ExpressibleByArgument {}
