import ArgumentParser
import Glibc
import WebClient

/// The options of the command line that concern the function `fetch` alone.
struct FetchOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "What may be fetched from beside public addresses; commas between. Repeatable.",
            discussion: "Blocks (10.0.0.0/8), addresses, host names, .example.org for all below."))
    var allowTargets: [String] = []

    @Option(help: "Transfers at once.")
    var fetchConnections = WebLimits().total

    @Option(help: "Transfers at once with one host.")
    var fetchPerHost = WebLimits().perHost

    @Option(help: "PEM file with the authorities to trust instead of the system's.")
    var fetchCa: String?

    var settings: FetchSettings {
        FetchSettings(
            targets: allowTargets.flatMap { $0.split(separator: ",").map(String.init) },
            limits: WebLimits(total: fetchConnections, perHost: fetchPerHost),
            authorities: fetchCa)
    }
}

/// How the function `fetch` is set up.
struct FetchSettings {
    /// What it may connect to beside public addresses.
    var targets: [String] = []
    var limits = WebLimits()
    /// PEM file; nil for the system's authorities.
    var authorities: String?

    var access: WebAccess {
        get throws { WebAccess(try TargetRules(allowing: targets), authorities: authorities) }
    }

    /// Sentences for a person; empty when all is well.
    var problems: [String] {
        var found: [String] = []
        for (flag, value) in [
            ("--fetch-connections", limits.total), ("--fetch-per-host", limits.perHost),
        ] where !(1...100_000).contains(value) {
            found.append("\(flag) must be 1 to 100000")
        }
        for target in targets {
            do throws(WebError) {
                _ = try TargetRules(allowing: [target])
            } catch {
                found.append("--allow-targets: \(error)")
            }
        }
        if let authorities, Glibc.access(authorities, R_OK) != 0 {
            found.append("--fetch-ca: cannot read \(authorities)")
        }
        return found
    }
}
