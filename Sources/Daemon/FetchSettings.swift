import WebClient

/// How the function `fetch` is set up.
struct FetchSettings {
    /// What it may connect to beside public addresses; commas separate several in one.
    var targets: [String] = []
    var limits = WebLimits()
    /// PEM file; nil for the system's authorities.
    var authorities: String?

    var access: WebAccess {
        get throws {
            let rules = try TargetRules(
                allowing: targets.flatMap { $0.split(separator: ",").map(String.init) })
            return WebAccess(rules, authorities: authorities)
        }
    }
}
