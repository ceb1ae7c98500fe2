import JobEngine
import Pools
import Sockets

/// How a server is set up.
///
/// `problems` says everything wrong at once.
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
    /// Seconds that running jobs have to end when the server stops.
    var drainSeconds = 10.0
    /// Jobs waiting and running in all; past it submissions are refused with 503.
    var maxQueued = EngineSettings().openJobs
    /// Bytes of all blobs together; past it those used longest ago are removed.
    var maxBlobBytes = 8 << 30
    /// Bytes that the store may hold: near it the oldest results go, at it submissions are refused
    /// with 507; nil for as many as the disk has.
    var maxStoreBytes: Int64?
    /// Streams of events at once; past it they are refused with 503.
    var maxEventStreams = EngineSettings().eventStreams
    /// Certificate and key of the internet addresses, and whose clients are let in; nil for no TLS.
    var tls: TLSContext.Files?
    /// Proxies whose word on the client's address is taken.
    var trustedProxies: [AddressRange] = []
    /// File for a line a response, `-` for the standard error; nil for none.
    var accessLog: String?
    var logFormat = LogFormat.text
    /// Bounds and times of connections and requests.
    var http = HTTPBounds()
    /// Wanted from every client but for health checks; nil for none.
    var token: String?
    var fetch = FetchSettings()
    var workers = WorkerRules()
    /// Workers that a job may end before it is given up.
    var maxWorkerDeaths = EngineSettings().workerDeaths

    /// Whether clients may send pickled calls, which can do all that the server's user can.
    var allowsPickle = false

    /// What of the HTTP server can be set; nil for its default.
    struct HTTPBounds {
        var connections: Int?
        var connectionsPerAddress: Int?
        var bodyBytes: Int?
        var idleSeconds: Double?
    }

    /// Folder of the blobs.
    var blobs: String { data + "/blobs" }

    /// Sentences for a person; empty when all is well.
    var problems: [String] {
        var found: [String] = []
        if !(1...1024).contains(threads) { found.append("--threads must be 1 to 1024") }
        if !(1...1024).contains(processes) { found.append("--processes must be 1 to 1024") }
        if !(1...1_000_000).contains(asyncLimit) {
            found.append("--async-limit must be 1 to 1000000")
        }
        if maxQueued < 1 { found.append("--max-queued must be 1 or more") }
        if maxBlobBytes < 1 { found.append("--max-blob-bytes must be 1 or more") }
        if let maxStoreBytes, maxStoreBytes < 1 << 20 {
            found.append("--max-store-bytes must be 1048576 or more")
        }
        if maxEventStreams < 1 { found.append("--max-event-streams must be 1 or more") }
        found += fetch.problems
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
        return found
    }
}
