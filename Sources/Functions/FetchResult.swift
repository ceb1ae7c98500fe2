import RawJSON
import WebClient

/// A web answer as the function `fetch` returns it.
enum FetchResult {
    /// How the body is told.
    enum Form: String, Sendable {
        /// As text where the type says so and the bytes are, else in base64.
        case auto
        /// As text, what is none replaced by U+FFFD.
        case text
        case base64
    }

    static func json(_ response: WebResponse, _ form: Form) -> RawJSON {
        var writer = JSONWriter(capacity: response.body.count * 3 / 2 + 1024)
        writer.beginObject()
        writer.member("url", response.url)
        writer.member("status", response.status)
        writer.member("version", response.version)
        writer.key("headers")
        write(headers: response.headers, to: &writer)
        if let text = text(response, form) {
            writer.member("text", text)
        } else {
            writer.member("base64", Base64.encode(response.body))
        }
        writer.key("timings")
        write(response.timings, to: &writer)
        writer.member("attempts", response.attempts)
        writer.endObject()
        return RawJSON(trusted: writer.bytes[...])
    }

    /// Repeated headers joined by commas (RFC 9110, section 5.2), cookies by line feeds.
    private static func write(
        headers: [(name: String, value: String)], to writer: inout JSONWriter,
    ) {
        writer.beginObject()
        var written = Set<String>()
        for (name, _) in headers where written.insert(name).inserted {
            let values = headers.filter { $0.name == name }.map(\.value)
            writer.key(named: name)
            writer.value(values.joined(separator: name == "set-cookie" ? "\n" : ", "))
        }
        writer.endObject()
    }

    private static func write(_ timings: WebTimings, to writer: inout JSONWriter) {
        writer.beginObject()
        writer.member("queued", timings.queued)
        writer.member("dns", timings.dns)
        writer.member("connect", timings.connect)
        writer.member("tls", timings.tls)
        writer.member("first_byte", timings.firstByte)
        writer.member("total", timings.total)
        writer.endObject()
    }

    private static func text(_ response: WebResponse, _ form: Form) -> String? {
        let type = (response.header("content-type") ?? "").lowercased()
        switch form {
        case .base64: return nil
        case .auto: return isText(type) ? decode(response.body, type) : nil
        case .text:
            return decode(response.body, type) ?? String(decoding: response.body, as: UTF8.self)
        }
    }

    private static func isText(_ type: String) -> Bool {
        let essence = type.prefix { $0 != ";" }
        return essence.isEmpty || essence.hasPrefix("text/")
            || ["json", "xml", "javascript", "yaml", "x-www-form-urlencoded", "x-ndjson"]
                .contains { essence.hasSuffix($0) }
    }

    /// The text in the type's `charset`, without a byte order mark; nil when the bytes are none.
    private static func decode(_ body: [UInt8], _ type: String) -> String? {
        switch charset(type) {
        case "iso-8859-1", "latin1", "windows-1252", "us-ascii", "ascii":
            // What all browsers take these three for (WHATWG Encoding, section 4.2).
            return Windows1252.decode(body)
        default:
            let mark: [UInt8] = [0xef, 0xbb, 0xbf]
            return String(
                validating: body.starts(with: mark) ? body[3...] : body[...], as: UTF8.self)
        }
    }

    private static func charset(_ type: String) -> String? {
        for parameter in type.split(separator: ";").dropFirst() {
            let pair = parameter.split(separator: "=").map { $0.filter { $0 != " " && $0 != "\"" } }
            if pair.count == 2, pair[0] == "charset" { return pair[1] }
        }
        return nil
    }
}

private enum Windows1252 {
    /// Of the bytes 0x80 to 0x9f; all others are the character of the same number.
    private static let special: [UInt32] = [
        0x20ac, 0x81, 0x201a, 0x192, 0x201e, 0x2026, 0x2020, 0x2021, 0x2c6, 0x2030, 0x160, 0x2039,
        0x152, 0x8d, 0x17d, 0x8f, 0x90, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
        0x2dc, 0x2122, 0x161, 0x203a, 0x153, 0x9d, 0x17e, 0x178,
    ]

    static func decode(_ bytes: [UInt8]) -> String {
        var scalars = String.UnicodeScalarView()
        for byte in bytes {
            let isSpecial = (0x80...0x9f).contains(byte)
            let value = isSpecial ? special[Int(byte - 0x80)] : UInt32(byte)
            scalars.append(Unicode.Scalar(value) ?? "\u{fffd}")
        }
        return String(scalars)
    }
}

/// RFC 4648, section 4.
private enum Base64 {
    private static let digits = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encode(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let count = min(3, bytes.count - start)
            var word = 0
            for offset in 0..<3 {
                word = word << 8 | (offset < count ? Int(bytes[start + offset]) : 0)
            }
            for place in 0..<4 {
                let digit = digits[word >> (18 - 6 * place) & 63]
                text.append(place <= count ? digit : UInt8(ascii: "="))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
