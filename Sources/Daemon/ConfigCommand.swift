import ArgumentParser
import Glibc
import Pools
import RawJSON

/// What the command line says of the server's settings; `serve` and `config` take the same.
struct ServerFlags: ParsableArguments {
    @Option(
        help: "YAML file of settings, NAME: VALUE; or set MARTLET_CONFIG.", completion: .file())
    var config: String?

    @OptionGroup(title: "Jobs and pools") var jobs: SettingFlags<JobSettings>

    @OptionGroup(title: "Workers") var workers: SettingFlags<WorkerSettings>

    @OptionGroup(title: "HTTP") var http: SettingFlags<HTTPServerSettings>

    @OptionGroup(title: "Fetch") var fetch: SettingFlags<FetchFunctionSettings>

    @OptionGroup(title: "Traces") var traces: SettingFlags<TraceSettings>

    /// The settings in force.
    ///
    /// - Throws: the exit of a wrong command line, after saying all that is wrong at once.
    func resolve() throws -> SettingSources {
        let given = [jobs.given, workers.given, http.given, fetch.given, traces.given]
        let sources = SettingSources(
            flags: given.reduce(into: [:]) { $0.merge($1) { _, new in new } },
            environment: processEnvironment(), file: config)
        for problem in sources.problems { complain("Error: \(problem)") }
        guard sources.problems.isEmpty else { throw ExitCode.validationFailure }
        return sources
    }
}

/// A line on stderr.
func complain(_ line: String) {
    // Nobody could be told that it cannot be written.
    _ = write(STDERR_FILENO, line + "\n", line.utf8.count + 1)
}

struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config",
        abstract: "Prints the settings in force and where each comes from.",
        discussion: "Takes what serve takes, and checks it as serve does.")

    @OptionGroup var flags: ServerFlags

    @Flag(help: "Print JSON, with each setting's meaning, unit and default.")
    var json = false

    @Flag(help: .private)
    var markdown = false

    func run() throws {
        if markdown { return print(Self.markdownTable, terminator: "") }
        let sources = try flags.resolve()
        for warning in sources.warnings { complain("Warning: \(warning)") }
        print(json ? Self.json(sources) : Self.table(sources))
    }

    private static func table(_ sources: SettingSources) -> String {
        let rows = ServerSettings.all.map { setting in
            [
                setting.name, setting.show(sources.configuration),
                (sources.origins[setting.name] ?? .standard).text,
            ]
        }
        let widths = [0, 1].map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            row[0] + pad(widths[0] - row[0].count + 2) + row[1]
                + pad(widths[1] - row[1].count + 2) + row[2]
        }.joined(separator: "\n")
    }

    private static func pad(_ count: Int) -> String { String(repeating: " ", count: count) }

    private static func json(_ sources: SettingSources) -> String {
        var writer = JSONWriter()
        writer.beginArray()
        for setting in ServerSettings.all {
            writer.beginObject()
            writer.member("name", setting.name)
            writer.member("value", setting.show(sources.configuration))
            writer.member("from", (sources.origins[setting.name] ?? .standard).text)
            writer.member("default", setting.standard)
            writer.member("unit", setting.unit)
            writer.member("meaning", setting.meaning)
            writer.member("variable", setting.variable)
            writer.endObject()
        }
        writer.endArray()
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    /// The README's table.
    private static var markdownTable: String {
        let rows = ServerSettings.all.map { setting in
            let unit = setting.unit.split(separator: "|").joined(separator: " or ")
            return "| `\(setting.name)` | \(unit) | \(setting.meaning) | \(setting.standard) |\n"
        }
        return "| setting | value | meaning | default |\n| --- | --- | --- | --- |\n"
            + rows.joined()
    }
}
