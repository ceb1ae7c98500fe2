import Jobs
import WebServer

extension HTTPRequest {
    /// Refuses a parameter that is not among those, or is given twice.
    ///
    /// It would be passed over, and the answer, or the change, be of more jobs than was meant.
    ///
    /// - Throws: a `Problem` of status 400.
    func requireQuery(of known: [String]) throws {
        var seen: Set<String> = []
        for (name, _) in queryItems {
            guard known.contains(name) else {
                let hint =
                    Spelling.nearest(to: name, among: known).map { "Did you mean \"\($0)\"?" }
                    ?? "Known are \(known.joined(separator: ", "))."
                throw refusal("There is no parameter \"\(name)\" here. \(hint)")
            }
            guard seen.insert(name).inserted else {
                throw refusal("\"\(name)\" is given twice.")
            }
        }
    }

    private func refusal(_ detail: String) -> Problem {
        Problem(400, "invalid-query", "The query is not valid", detail)
    }
}
