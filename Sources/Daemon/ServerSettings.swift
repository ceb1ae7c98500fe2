import Functions
import Glibc
import Sockets
import WebClient
import WebServer

/// Every setting of the server.
///
/// To add one, add a field to `Configuration` and a line here, then `make settings manual`: flag,
/// variable, key of the file, `martlet config` and the documents come of it.
enum ServerSettings {
    static let all =
        JobSettings.settings + WorkerSettings.settings + HTTPServerSettings.settings
        + FetchFunctionSettings.settings + TraceSettings.settings
}

/// Of jobs and of the program as a whole.
enum JobSettings: SettingTable {
    static let settings: [Setting] = [
        .text("data", \.data, unit: "folder", "Where the store is; made if absent.", shape: .path),
        .file(
            "functions", \.functions, unit: "path",
            "Folder or file of functions; changes are picked up."),
        .count(
            "processes", \.processes, 1...1024, unit: "workers", "Size of the process pool.",
            standard: "CPUs"),
        .count(
            "threads", \.threads, 1...1024, unit: "threads", "Size of the thread pool.",
            standard: "CPUs, at least 4"),
        .count(
            "async-limit", \.asyncLimit, 1...1_000_000, unit: "calls",
            "Calls at once on the async pool."),
        .text(
            "python", \.python, unit: "program", "Python 3.9 or later, to run functions with.",
            shape: .path),
        .toggle(
            "sandbox", \.isSandboxed,
            "Run Python and command functions in bubblewrap: no network, nothing to write to but a"
                + " /tmp of their own."),
        .list(
            "sandbox-read", \.sandboxShows, unit: "path",
            "What they can read there beside the system's, Python's and their own files. Repeatable.",
            read: { text throws(SettingError) in
                guard access(text, F_OK) == 0 else {
                    let why = String(cString: strerror(errno))
                    throw SettingError("cannot be read: \(text): \(why)")
                }
                return text
            }, show: \.self),
        .toggle(
            "allow-pickle", \.allowsPickle,
            "Offer martlet.call, which runs calls that Python clients send as pickles: any code."),
        .count(
            "max-queued", \.maxQueued, 1...Int.max, unit: "jobs",
            "Waiting and running in all; past it 503."),
        .limit(
            "max-queued-per-queue", \.maxQueuedPerQueue, 1...Int.max, unit: "jobs",
            "Waiting and running of one queue; past it 503."),
        .count(
            "max-blob-bytes", \.maxBlobBytes, 1...Int.max, unit: "bytes",
            "Of all blobs together; past it those used longest ago go."),
        .limit(
            "max-store-bytes", \.maxStoreBytes, (1 << 20)...Int.max, unit: "bytes",
            "Of the store: near it the oldest results go, at it 507."),
        .count(
            "max-inline-bytes", \.maxInlineBytes, 65_536...(512 << 20), unit: "bytes",
            "Of a job's arguments or result in the database; larger ones are files beside it."),
        .count(
            "max-event-streams", \.maxEventStreams, 1...Int.max, unit: "streams",
            "Streams of events at once; past it 503."),
        .number(
            "idempotency-hours", \.idempotencyHours, 0.001...8784, unit: "hours",
            "For which an Idempotency-Key names the same job."),
        .seconds(
            "drain-seconds", \.drainSeconds, 0...86_400,
            "For open requests and running jobs when the server stops; a second SIGTERM hurries."),
        .choice("log-format", \.logFormat, "How the server's log on stderr is written."),
    ]
}

/// Of connections and requests.
enum HTTPServerSettings: SettingTable {
    static let settings: [Setting] = [
        .list(
            "listen", \.listen, unit: "address",
            "HOST:PORT, [IPv6]:PORT or unix:/path; port 0 lets the system choose. Repeatable.",
            read: { text throws(SettingError) in
                guard let address = ListenAddress(text) else {
                    throw SettingError(
                        "takes HOST:PORT, [IPv6]:PORT or unix:/path, not \"\(text)\"")
                }
                return address
            }, show: \.description),
        .optional(
            "token", \.token, unit: "token", "Wanted of clients as Authorization: Bearer.",
            shape: .secret),
        tokenFile,
        .file(
            "tls-cert", \.tlsCertificate,
            "PEM, the certificate chain; internet addresses then speak TLS. Read anew on SIGHUP."),
        .file("tls-key", \.tlsKey, "PEM, the certificate's key."),
        .file(
            "tls-client-ca", \.tlsClientAuthorities,
            "PEM, authorities of one of which clients must have a certificate."),
        .count(
            "hsts-seconds", \.http.strictTransportSeconds, 0...Int.max, unit: "seconds",
            "For which browsers then ask this host for TLS alone, at every port; 0 for not so."),
        .list(
            "allowed-hosts", \.allowedHosts, unit: "hosts",
            "Names beside localhost that requests may have in Host, .example.org for all below;"
                + " asked for without a token, or if there are any. Commas between. Repeatable.",
            read: { text throws(SettingError) in
                let wrong = text.split(separator: ",", omittingEmptySubsequences: false)
                    .filter { !AllowedHosts.isPattern(String($0)) }
                guard wrong.isEmpty else {
                    throw SettingError(
                        all: wrong.map {
                            "takes names, .example.org or addresses, without a port, not \"\($0)\""
                        })
                }
                return text
            }, show: \.self),
        .list(
            "trusted-proxy", \.trustedProxies, unit: "address",
            "Address or network of a proxy whose word on who sent a request is believed. Repeatable.",
            read: { text throws(SettingError) in
                guard let range = AddressBlock(text) else {
                    throw SettingError("takes an address or network, not \"\(text)\"")
                }
                return range
            }, show: \.description),
        .choice(
            "forwarded-header", \.forwardedHeader,
            "The field of such a proxy that is believed; it must set or clear it itself."),
        .optional(
            "access-log", \.accessLog, unit: "file",
            "Gets a line of JSON a response; - for stderr. Opened anew on SIGHUP.", shape: .path),
        .toggle(
            "cpu-affinity", \.keepsLoopsApart,
            "Keep each event loop of HTTP on a CPU of its own; not so where the cgroup's quota is less than"
                + " the CPUs."),
        .count(
            "max-connections", \.http.connections, 1...Int.max, unit: "connections",
            "At once, fewer where descriptors are short; past it the longest idle makes room."),
        .count(
            "max-connections-per-address", \.http.connectionsPerAddress, 1...Int.max,
            unit: "connections", "At once of one address; past it they are closed.",
            standard: "three quarters of all"),
        .count(
            "max-body-bytes", \.http.bodyBytes, 1...Int.max, unit: "bytes",
            "Of a request's body; past it 413."),
        .seconds(
            "idle-seconds", \.http.idleSeconds, 0.001...86_400,
            "That a connection may wait for its next request."),
        .seconds(
            "head-seconds", \.http.headSeconds, 0.001...86_400,
            "For a whole head from its first byte, and for the handshake of TLS; past it 408."),
        .seconds(
            "body-seconds", \.http.bodySeconds, 0.001...86_400,
            "Without a byte of a body that is waited for; past it 408."),
        .count(
            "body-rate", \.http.bodyRate, 1...Int.max, unit: "bytes a second",
            "That a body must come at on the whole, after 10 s; below it 408."),
        .seconds(
            "write-seconds", \.http.writeSeconds, 0.001...86_400,
            "Without a byte taken of an answer; past it the connection is broken."),
        .count(
            "max-streams", \.http.streams, 1...100_000, unit: "streams",
            "At once of an HTTP/2 connection."),
        .count(
            "max-held-bytes", \.http.heldBytes, (1 << 20)...Int.max, unit: "bytes",
            "That each event loop holds for clients: answers not taken, bodies not whole, coders; past"
                + " it whoever has moved nothing for longest is given up. Unless set, at least twice"
                + " max-body-bytes."),
    ]

    /// Its token goes before that of the environment.
    private static let tokenFile = Setting(
        name: "token-file", shape: .path, unit: "file", meaning: "File with the token.",
        standard: "",
        apply: { texts, configuration throws(SettingError) in
            guard let file = fopen(texts[0], "r") else {
                throw SettingError(
                    "cannot be read: \(texts[0]): \(String(cString: strerror(errno)))")
            }
            defer { fclose(file) }
            var bytes = [UInt8](repeating: 0, count: 4096)
            let count = fread(&bytes, 1, bytes.count, file)
            configuration.tokenFile = texts[0]
            configuration.token = String(
                decoding: bytes.prefix(count).prefix { $0 > 32 }, as: UTF8.self)
        }, show: { $0.tokenFile ?? "" })
}

/// Of the function `fetch` alone.
enum FetchFunctionSettings: SettingTable {
    static let settings: [Setting] = [
        .list(
            "allow-targets", \.fetch.targets, unit: "targets",
            "What may be fetched from beside public addresses: blocks (10.0.0.0/8), addresses,"
                + " names, .example.org for all below; commas between. Repeatable.",
            read: { text throws(SettingError) in
                let complaints = text.split(separator: ",").compactMap { target in
                    do throws(WebError) {
                        _ = try TargetRules(allowing: [String(target)])
                        return nil as String?
                    } catch {
                        return "is wrong: \(error)"
                    }
                }
                guard complaints.isEmpty else { throw SettingError(all: complaints) }
                return text
            }, show: \.self),
        .count(
            "fetch-connections", \.fetch.limits.total, 1...100_000, unit: "transfers", "At once."),
        .count(
            "fetch-per-host", \.fetch.limits.perHost, 1...100_000, unit: "transfers",
            "At once with one host."),
        .file(
            "fetch-ca", \.fetch.authorities,
            "PEM, the authorities to trust instead of the system's."),
    ]
}
