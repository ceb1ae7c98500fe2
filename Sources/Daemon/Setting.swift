import ArgumentParser

/// One setting of the server: what it is called, what it means, what it changes.
///
/// `max-queued` is the flag `--max-queued`, the variable `MARTLET_MAX_QUEUED` and the key
/// `max-queued` of the configuration file.
struct Setting: Sendable {
    enum Shape: Equatable, Sendable {
        case one
        case path
        case choice([String])
        /// Each flag adds to it; commas separate the values of a variable.
        case list
        case toggle
        /// Of a variable or the file, never a flag: others see those in the list of processes.
        case secret
    }

    let name: String
    let shape: Shape
    /// Unit of the value, or what it is.
    let unit: String
    /// A sentence for a person.
    let meaning: String
    /// The default, in words where it depends on the machine.
    let standard: String
    /// Another variable that is asked if there is none of Martlet's own.
    var foreignVariable: String?
    /// Takes over what was given.
    let apply: @Sendable ([String], inout Configuration) throws(SettingError) -> Void
    /// What is in force.
    let show: @Sendable (Configuration) -> String

    var flag: String { "--\(name)" }

    var variable: String {
        "MARTLET_" + String(name.map { $0 == "-" ? "_" : $0 }).uppercased()
    }

    var hasFlag: Bool { shape != .secret }

    /// The setting as the command line's parser knows it.
    var argument: any Decodable {
        let described =
            standard.isEmpty || shape == .toggle ? meaning : "\(meaning) (default: \(standard))"
        let help = ArgumentHelp(
            described, valueName: String(unit.map { $0 == " " ? "-" : $0 }))
        let long = NameSpecification.customLong(name)
        return switch shape {
        case .one, .secret: Option<String?>(name: long, help: help)
        case .path: Option<String?>(name: long, help: help, completion: .file())
        case .choice(let names): Option<String?>(name: long, help: help, completion: .list(names))
        case .list:
            Option<[String]>(wrappedValue: [], name: long, parsing: .singleValue, help: help)
        case .toggle: Flag<Bool?>(name: long, inversion: .prefixedNo, help: help)
        }
    }
}

/// What is wrong with values, each to be said behind the setting's name: `must be …`.
struct SettingError: Error {
    let complaints: [String]

    init(_ complaint: String) { complaints = [complaint] }

    init(all complaints: [String]) { self.complaints = complaints }
}
