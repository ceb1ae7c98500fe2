import JobEngine
import Pools
import Sockets
import WebServer

/// How a server is set up; `ServerSettings` says how each field is set.
struct Configuration {
    /// Where the server listens.
    var listen = [ListenAddress.internet(host: "127.0.0.1", port: 8080)]
    /// Folder of the store, made if it is not there.
    var data = "martlet-data"
    /// Folder or file of functions; nil for the native ones alone.
    var functions: String?
    var python = "python3"
    /// Threads of the thread pool.
    var threads = max(4, HostCapacity.cpus())
    /// Worker processes of the process pool.
    var processes = HostCapacity.cpus()
    /// Calls at once on the async pool.
    var asyncLimit = 10_000
    /// Event loops for connections.
    var loops = HostCapacity.cpus()
    /// Whether each of them is kept on a CPU of its own, if there is one for each.
    var keepsLoopsApart = true
    /// Seconds that running jobs have to end when the server stops.
    var drainSeconds = 10.0
    /// Jobs waiting and running in all; past it submissions are refused with 503.
    var maxQueued = EngineSettings().openJobs
    /// The same of one queue; nil for no bound but that of all.
    var maxQueuedPerQueue: Int?
    /// Bytes of all blobs together; past it those used longest ago are removed.
    var maxBlobBytes = 8 << 30
    /// Bytes that the store may hold: near it the oldest results go, at it submissions are refused
    /// with 507; nil for as many as the disk has.
    var maxStoreBytes: Int?
    /// Bytes of arguments or a result up to which they are in the database; larger ones are files.
    var maxInlineBytes = 1 << 20
    /// Hours for which an `Idempotency-Key` names the same job.
    var idempotencyHours = 24.0
    /// Streams of events at once; past it they are refused with 503.
    var maxEventStreams = EngineSettings().eventStreams
    /// PEM files: certificate and key of the internet addresses, and whose clients are let in.
    var tlsCertificate: String?
    var tlsKey: String?
    var tlsClientAuthorities: String?
    /// Proxies whose word on the client's address is taken.
    var trustedProxies: [AddressBlock] = []
    /// The field by which they say it.
    var forwardedHeader = ForwardedHeader.xForwardedFor
    /// File for a line a response, `-` for the standard error; nil for none.
    var accessLog: String?
    var logFormat = LogFormat.text
    /// Bounds and times of connections and requests.
    var http = HTTPBounds()
    /// Names beside those of the loopback that the server goes by: what `Host` may say.
    var allowedHosts: [String] = []
    /// Wanted from every client but for health checks; nil for none.
    var token: String?
    /// Where it was read from.
    var tokenFile: String?
    var fetch = FetchSettings()
    var tracing = TracingSettings()
    var workers = WorkerRules()
    var workerCgroups = CgroupChoice.auto
    /// Workers that a job may end before it is given up.
    var maxWorkerDeaths = EngineSettings().workerDeaths

    /// The file that settings were read from; nil for none.
    var file: String?

    /// Whether Python and command functions run in bubblewrap.
    var isSandboxed = false
    /// What they can read there beside the system's, Python's and their own files.
    var sandboxShows: [String] = []

    /// Whether clients may send pickled calls, which can do all that the server's user can.
    var allowsPickle = false

    /// What of the HTTP server can be set.
    struct HTTPBounds {
        /// At once.
        var connections = 20_480
        private var ownPerAddress: Int?
        /// At once of one address; three quarters of all unless it was set.
        var connectionsPerAddress: Int {
            get { ownPerAddress ?? connections - connections / 4 }
            set { ownPerAddress = newValue }
        }
        var bodyBytes = 64 << 20
        var idleSeconds = 75.0
        var headSeconds = 10.0
        /// Without a byte of a body.
        var bodySeconds = 60.0
        /// Bytes a second of a body, on the whole.
        var bodyRate = 500
        /// Without a byte taken of an answer.
        var writeSeconds = 20.0
        /// Streams at once of an HTTP/2 connection.
        var streams = 256
        private var ownHeldBytes: Int?
        /// Bytes held for clients by each loop; room for two of the largest bodies unless it was set.
        var heldBytes: Int {
            get { ownHeldBytes ?? max(128 << 20, bodyBytes > .max / 2 ? .max : 2 * bodyBytes) }
            set { ownHeldBytes = newValue }
        }
        /// 0 for no `Strict-Transport-Security`.
        var strictTransportSeconds = 0
    }

    /// Folder of the blobs.
    var blobs: String { data + "/blobs" }

    /// nil for no TLS.
    var tls: TLSContext.Files? {
        guard let tlsCertificate, let tlsKey else { return nil }
        return TLSContext.Files(
            certificate: tlsCertificate, key: tlsKey, clientAuthorities: tlsClientAuthorities)
    }

    /// What is wrong with the settings taken together, each a sentence for a person.
    var problems: [String] {
        var found: [String] = []
        let files = [tlsCertificate, tlsKey, tlsClientAuthorities]
        if tls == nil, files.contains(where: { $0 != nil }) {
            found.append("TLS wants both --tls-cert and --tls-key")
        }
        if !isSandboxed, !sandboxShows.isEmpty {
            found.append("--sandbox-read says what --sandbox shows, which is not on")
        }
        if http.strictTransportSeconds > 0, tls == nil {
            found.append("--hsts-seconds is for TLS: it wants --tls-cert and --tls-key")
        }
        for address in listen where !address.isLocal && token == nil {
            found.append(
                "--listen \(address): open to a network the server wants a token;"
                    + " give --token-file FILE or MARTLET_TOKEN, or listen on 127.0.0.1")
        }
        if allowsPickle, token == nil, !listen.allSatisfy(\.isLocal) {
            found.append(
                "--allow-pickle runs any code that a client sends, so that"
                    + " open to a network it wants a token; give one, or listen on 127.0.0.1")
        }
        if let token, token.utf8.count < 8 { found.append("the token must have 8 bytes or more") }
        return found + tracing.problems
    }
}
