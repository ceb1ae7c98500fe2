import HTTPWire

package typealias HTTPField = (name: String, value: String)

/// What a handler answers.
package struct HTTPResponse: Sendable {
    package enum Body: Sendable {
        case bytes([UInt8])
        /// A known number of bytes that are read piece by piece.
        indirect case content(HTTPContent)
        /// Pieces until nil; each is asked for when the client has taken the one before. An error
        /// cuts the connection, so that the client sees that the answer is not whole.
        case stream(@Sendable () async throws -> [UInt8]?)

        /// Bytes; nil when they are known at the end alone.
        var length: Int? {
            switch self {
            case .bytes(let bytes): bytes.count
            case .content(let content): content.count
            case .stream: nil
            }
        }

        /// What gives it piece by piece; nil when it is whole.
        var pieces: (@Sendable () async throws -> [UInt8]?)? {
            switch self {
            case .bytes: return nil
            case .stream(let next): return next
            case .content(let content):
                let next = content.pieces
                return { try await next().map(Array.init) }
            }
        }
    }

    /// Bytes of a body that goes into one buffer with its head.
    static let mostCopied = 16 << 10

    package var status: Int
    /// The `Content-Type`, which stands by itself because most answers have no other field.
    package var type: String?
    package var fields: [HTTPField]
    package var body: Body
    /// What codes its pieces takes of memory until the last is sent.
    var coderBytes = 0

    package init(_ status: Int, fields: [HTTPField] = [], _ body: Body) {
        self.status = status
        self.fields = fields
        self.body = body
    }

    package init(_ status: Int, type: String, _ bytes: [UInt8]) {
        self.status = status
        self.type = type
        fields = []
        body = .bytes(bytes)
    }

    package static func json(_ status: Int, _ bytes: [UInt8]) -> HTTPResponse {
        HTTPResponse(status, type: "application/json", bytes)
    }

    package static func json(_ status: Int, _ content: HTTPContent) -> HTTPResponse {
        var response = HTTPResponse.json(status, [])
        response.body = .content(content)
        return response
    }

    /// The first field of a name, which is to be given in lower case.
    package func field(_ name: StaticString) -> String? {
        fields.first { $0.name.isFieldName(name) }?.value
    }

    /// The media type, from wherever it was given, without its parameters.
    var mediaType: Substring {
        let type = type ?? field("content-type") ?? ""
        return type.prefix { $0 != ";" && $0 != " " }
    }
}
