/// A request of a web client.
package struct WebRequest: Sendable {
    /// Absolute, `http` or `https`.
    package var url: String
    package var method = "GET"
    /// Added to those that the client writes itself (`Host`, `Accept`, `Accept-Encoding`).
    package var headers: [(name: String, value: String)] = []
    /// Sent with any method but GET and HEAD; nil for none.
    package var body: [UInt8]?
    /// A body that is made while it is sent, in the place of `body`; sent once, without a retry.
    package var upload: WebUpload?
    /// Takes each header of a `103 Early Hints` (RFC 8297), on the loop's thread.
    package var hinted: (@Sendable (_ name: String, _ value: String) -> Void)?
    /// How many redirects are followed at most.
    ///
    /// Only GET, HEAD and POST follow any; POST turns into GET as browsers do it.
    package var redirects = 10
    /// For one attempt, from the connection to the last byte; waiting in the client not counted.
    package var timeout: Duration = .seconds(30)
    package var connectTimeout: Duration = .seconds(10)
    /// Of the body, decompressed; a longer one is an error.
    package var maxBytes = 16 << 20
    /// Whether compressed answers are asked for and unpacked.
    package var isDecompressed = true
    package var retry = WebRetry.never
    /// Takes the pieces of a successful answer's body as they come, instead of the response.
    ///
    /// Called on the loop's thread, which waits for it. There is no limit to the body then, and no
    /// retry once something was taken.
    package var receive: (@Sendable (UnsafeRawBufferPointer) -> Void)?

    package init(_ url: String, method: String = "GET") {
        self.url = url
        self.method = method
    }

    /// Whether doing it twice does what doing it once does (RFC 9110, section 9.2.2).
    var isIdempotent: Bool {
        ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"].contains(method)
    }
}

/// The answer to a request, whatever its status.
package struct WebResponse: Sendable {
    /// Where it came from, after redirects.
    package var url: String
    package var status: Int
    /// Of HTTP: `1.0`, `1.1` or `2`.
    package var version: String
    /// In their order, names lower-cased.
    package var headers: [(name: String, value: String)]
    package var body: [UInt8]
    package var timings: WebTimings
    /// Seconds that the server asks to wait for before the next try.
    package var retryAfter: Double?
    /// How many tries it took.
    package var attempts = 1

    /// The first header of that name, which is given in lower case.
    package func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }
}

/// Where the time of the last attempt went, in seconds since its start but for `queued`.
package struct WebTimings: Sendable, Equatable {
    /// Waiting for a place among the client's transfers.
    package var queued = 0.0
    package var dns = 0.0
    package var connect = 0.0
    package var tls = 0.0
    package var firstByte = 0.0
    package var total = 0.0
}
