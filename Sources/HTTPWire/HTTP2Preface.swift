/// What an HTTP/2 client sends first (RFC 9113, section 3.4).
package enum HTTP2Preface {
    private static let octets: StaticString = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

    package static let count = octets.utf8CodeUnitCount

    package enum Match: Sendable { case whole, beginning, none }

    /// Whether `bytes` begin with the preface, or are its beginning.
    package static func match(_ bytes: Span<UInt8>) -> Match {
        octets.withUTF8Buffer { wanted in
            for index in 0..<min(bytes.count, wanted.count) where bytes[index] != wanted[index] {
                return .none
            }
            return bytes.count >= wanted.count ? .whole : .beginning
        }
    }
}
