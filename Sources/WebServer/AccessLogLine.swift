import HTTPWire
import Sockets

/// One response as a line of JSON, without the query, which may hold secrets.
struct AccessLogLine {
    private var bytes: [UInt8] = [UInt8(ascii: "{")]

    init(
        _ request: HTTPRequest, status: Int, bytes count: Int, microseconds: Int, date: String,
    ) {
        member("time", date)
        member("client", request.clientAddress.description)
        member("method", request.head.methodText)
        member("path", request.head.path)
        member("version", request.head.version.text)
        member("status", number: status)
        member("bytes", number: count)
        member("microseconds", number: microseconds)
        member("id", request.id)
        if let trace = request.traceparent { member("traceparent", trace) }
        if let agent = request.head.field("user-agent") { member("agent", agent) }
        bytes += "}\n".utf8
    }

    var text: [UInt8] { bytes }

    private mutating func member(_ name: String, number: Int) {
        key(name)
        bytes += String(number).utf8
    }

    private mutating func member(_ name: String, _ value: String) {
        key(name)
        bytes.append(UInt8(ascii: "\""))
        for byte in value.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
            case 0..<0x20: bytes.append(UInt8(ascii: " "))
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func key(_ name: String) {
        if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
        bytes += "\"\(name)\":".utf8
    }
}

extension RequestHead.Version {
    fileprivate var text: String {
        switch self {
        case .http10: "1.0"
        case .http11: "1.1"
        case .http2: "2"
        }
    }
}
