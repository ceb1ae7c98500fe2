import RawJSON

/// Where this server is reached by what runs in its pools, for the jobs that those submit.
package struct ServerHome: Sendable, Equatable {
    /// `http://HOST:PORT` or `unix:/PATH`.
    package var url: String
    /// What the server takes for its token, for as long as it runs; nil when it wants none.
    package var token: String?

    package init(url: String, token: String?) {
        self.url = url
        self.token = token
    }

    /// Adds what clients look for; an address of another server goes.
    func add(to environment: inout [String: String]) {
        environment["MARTLET_URL"] = url
        environment["MARTLET_TOKEN"] = token
    }

    /// The message to workers, newline included.
    var line: [UInt8] {
        var writer = JSONWriter(capacity: 128)
        writer.beginObject()
        writer.key("server")
        writer.beginObject()
        writer.member("url", url)
        if let token { writer.member("token", token) }
        writer.endObject()
        writer.endObject()
        return writer.line()
    }
}
