import ArgumentParser
import Glibc
import Sockets
import WebClient

/// Which server to talk to, and as whom.
struct ServerOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "URL or HOST:PORT of the server, or unix:/path; or set MARTLET_URL. (default: http://127.0.0.1:8080)",
            valueName: "url"))
    var server: String?

    @Option(
        help: ArgumentHelp(
            "Token of the server; others see it in the list of processes: rather set MARTLET_TOKEN."
        )
    )
    var token: String?

    @Option(help: "File with the token; or set MARTLET_TOKEN_FILE.")
    var tokenFile: String?

    @Option(help: "PEM file with the authorities to trust; or set MARTLET_CA. (default: system's)")
    var ca: String?

    @Flag(help: "Print JSON as the server sends it, one document a line.")
    var json = false

    func connect() throws(ClientFailure) -> ServerAPI {
        var url = server ?? Self.environment("MARTLET_URL") ?? "http://127.0.0.1:8080"
        var socket: String?
        if url.hasPrefix("unix:") {
            socket = String(url.dropFirst("unix:".count))
            url = "http://localhost"
        }
        if !url.contains("://") { url = "http://" + url }
        while url.hasSuffix("/") { url.removeLast() }
        let access = WebAccess(
            .everything, authorities: ca ?? Self.environment("MARTLET_CA"), socket: socket)
        let token = try readToken()
        do throws(SocketError) {
            let loop = try EventLoop(name: "web")
            let limits = WebLimits(total: 10_000, perHost: 10_000)
            return ServerAPI(
                client: WebClient(on: loop, access: access, limits: limits), url: url,
                place: socket.map { "unix:\($0)" } ?? url, token: token)
        } catch {
            throw ClientFailure(.unreachable, "cannot start: \(error)")
        }
    }

    private func readToken() throws(ClientFailure) -> String? {
        if let token { return token }
        if let file = tokenFile ?? Self.environment("MARTLET_TOKEN_FILE") {
            let bytes = try InputFile.read(file)
            return String(decoding: bytes.prefix { $0 > 32 }, as: UTF8.self)
        }
        return Self.environment("MARTLET_TOKEN")
    }

    private static func environment(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }
}
