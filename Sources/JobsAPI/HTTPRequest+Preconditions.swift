import HTTPWire
import WebServer

extension HTTPRequest {
    /// Refuses to change what is not as the client thinks; to be asked when nothing else is in the
    /// way (RFC 9110, section 13.2.1), and before anything is done.
    ///
    /// - Throws: a `Problem` of status 412.
    func require(_ there: Preconditions.Representation) throws {
        guard let conditions = Preconditions(head), conditions.failure(of: there) != nil else {
            return
        }
        throw Problem(conditionFailed: there.description)
    }

    /// The same of what must be looked at first, which is done only for a condition.
    func require(_ look: () async throws -> Preconditions.Representation) async throws {
        if Preconditions(head) != nil { try require(try await look()) }
    }
}
