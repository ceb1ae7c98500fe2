import Glibc
import Jobs

/// Where the value of a setting was given.
enum SettingOrigin: Equatable, Sendable {
    case standard
    case file(String, line: Int)
    case variable(String)
    case flag

    /// For a person.
    var text: String {
        switch self {
        case .standard: "default"
        case .file(let path, let line): "\(path):\(line)"
        case .variable(let name): name
        case .flag: "flag"
        }
    }
}

/// The settings in force, and where each comes from: flags go before variables, these before the
/// file, that before the defaults.
struct SettingSources {
    private(set) var configuration = Configuration()
    private(set) var origins: [String: SettingOrigin] = [:]
    /// All that is wrong, each a sentence for a person.
    private(set) var problems: [String] = []
    /// What is odd but may be meant.
    private(set) var warnings: [String] = []

    /// - Parameters:
    ///   - flags: what the command line says, by the settings' names.
    ///   - environment: all variables.
    ///   - path: of the file; nil for that which `MARTLET_CONFIG` names, if it does.
    init(flags: [String: [String]], environment: [String: String], file path: String?) {
        var entries: [String: ConfigurationFile.Entry] = [:]
        let path = path ?? Self.filled(environment["MARTLET_CONFIG"])
        if let path {
            configuration.file = path
            let file = ConfigurationFile(path: path)
            problems += file.problems
            entries = file.entries
        }
        for setting in ServerSettings.all {
            if let texts = flags[setting.name] {
                take(setting, texts, from: .flag, called: setting.flag)
            } else if let (name, text) = Self.variable(of: setting, in: environment) {
                let texts =
                    setting.shape == .list ? text.split(separator: ",").map(String.init) : [text]
                take(setting, texts, from: .variable(name), called: name)
            } else if let path, let entry = entries[setting.name] {
                let place = "\(path):\(entry.line)"
                guard setting.shape == .list || entry.texts.count == 1 else {
                    problems.append("\(place): \(setting.name) takes one value, not a list")
                    continue
                }
                take(
                    setting, entry.texts, from: .file(path, line: entry.line),
                    called: "\(place): \(setting.name)")
            }
        }
        warnings = Self.misspelt(environment)
        problems += configuration.problems
    }

    private mutating func take(
        _ setting: Setting, _ texts: [String], from origin: SettingOrigin, called name: String,
    ) {
        do throws(SettingError) {
            try setting.apply(texts, &configuration)
            origins[setting.name] = origin
        } catch {
            problems += error.complaints.map { "\(name) \($0)" }
        }
    }

    /// A variable that is set to nothing is not set, as OpenTelemetry has it.
    private static func variable(
        of setting: Setting, in environment: [String: String],
    ) -> (name: String, text: String)? {
        for name in [setting.variable, setting.foreignVariable].compactMap(\.self) {
            if let text = filled(environment[name]) { return (name, text) }
        }
        return nil
    }

    private static func filled(_ text: String?) -> String? { text?.isEmpty == true ? nil : text }

    /// Variables that look like a setting's and are none; others may have theirs begin so too.
    private static func misspelt(_ environment: [String: String]) -> [String] {
        let known = Set(ServerSettings.all.map(\.variable) + otherVariables)
        return environment.keys.sorted().compactMap { name in
            guard name.hasPrefix("MARTLET_"), !known.contains(name),
                let near = Spelling.nearest(
                    to: String(name.dropFirst(8)), among: known.map { String($0.dropFirst(8)) })
            else { return nil }
            return "\(name) is no setting. Did you mean MARTLET_\(near)?"
        }
    }

    /// What others read: the commands that talk to a server, and workers.
    private static let otherVariables = [
        "MARTLET_CONFIG", "MARTLET_URL", "MARTLET_CA", "MARTLET_FD", "MARTLET_BLOBS",
    ]
}

/// All variables of the process.
func processEnvironment() -> [String: String] {
    var found: [String: String] = [:]
    var entry = environ
    while let text = entry.pointee {
        let parts = String(cString: text).split(
            separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        if parts.count == 2 { found[String(parts[0])] = String(parts[1]) }
        entry += 1
    }
    return found
}
