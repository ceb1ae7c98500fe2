/// Limits of what a request may be: RFC 9110, section 5.4 and RFC 9112, section 3 leave them to the server.
package struct HTTPLimits: Sendable {
    /// Bytes of the request line; past it 414.
    package var lineBytes = 8 << 10
    /// Bytes of request line and fields together; past it 431.
    package var headBytes = 32 << 10
    /// Number of fields; past it 431.
    package var fields = 100
    /// Bytes of a body; past it 413.
    package var bodyBytes = 64 << 20

    /// Bytes of a method; past it 501.
    static let methodBytes = 32
    /// Bytes of a chunk's size with its extensions; past it 400.
    static let chunkLineBytes = 256
    /// Bytes of chunks' lines beyond 16 each and two a byte of data; past it 400.
    static let chunkExcessBytes = 16 << 10
    /// Bytes of all trailer fields together; past it 431.
    static let trailerBytes = 8 << 10

    package init() {}
}
