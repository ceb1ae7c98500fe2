/// Why there is no answer.
package enum WebError: Error, Equatable, CustomStringConvertible {
    /// The request itself is wrong: what and why.
    case badRequest(String)
    /// Neither `http` nor `https`, from the beginning or after a redirect.
    case refusedScheme(String)
    /// The address belongs to a network that is not allowed.
    case refusedTarget(host: String, address: String)
    case unresolved(host: String)
    /// No connection came about.
    case unconnected(String)
    /// The secured connection came about with nobody trusted.
    case tls(String)
    /// The connection broke or what came is no HTTP.
    case broken(String)
    case timedOut(seconds: Double)
    case bodyTooLarge(limit: Int)
    case headersTooLarge(limit: Int)
    case tooManyRedirects(limit: Int)
    /// As many requests wait in the client as it takes.
    case overloaded(limit: Int)
    case cancelled

    /// Whether the same request may do better in a moment.
    var isTransient: Bool {
        switch self {
        case .unconnected, .broken, .unresolved: true
        case .badRequest, .refusedScheme, .refusedTarget, .tls, .timedOut, .bodyTooLarge,
            .headersTooLarge, .tooManyRedirects, .overloaded, .cancelled:
            false
        }
    }

    package var description: String {
        switch self {
        case .badRequest(let what): what
        case .refusedScheme(let url): "only http and https are fetched, not \(url)"
        case .refusedTarget(let host, let address):
            "\(host) is at \(address), which is no public address"
                + " and not allowed by --allow-targets"
        case .unresolved(let host): "the name \(host) is not known"
        case .unconnected(let why): "cannot connect: \(why)"
        case .tls(let why): "the secured connection failed: \(why)"
        case .broken(let why): "the connection broke: \(why)"
        case .timedOut(let seconds): "not finished after \(seconds) s"
        case .bodyTooLarge(let limit): "the body has more than \(limit) bytes"
        case .headersTooLarge(let limit): "the headers have more than \(limit) bytes"
        case .tooManyRedirects(let limit): "more than \(limit) redirects"
        case .overloaded(let limit): "\(limit) requests wait already"
        case .cancelled: "the request was cancelled"
        }
    }
}
