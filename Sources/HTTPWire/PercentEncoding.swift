/// Percent-encoding of URIs (RFC 3986, section 2.1).
package enum PercentEncoding {
    /// Decodes once; nil when an escape is malformed or the result is not UTF-8.
    package static func decode(_ text: String) -> String? {
        guard text.utf8.contains(UInt8(ascii: "%")) else { return text }
        return decode(Array(text.utf8)[...]).flatMap { String(validating: $0, as: UTF8.self) }
    }

    /// Decodes once; nil when an escape is malformed.
    package static func decode(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count)
        var rest = text
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst()?.hexValue, let low = rest.popFirst()?.hexValue else {
                return nil
            }
            bytes.append(UInt8(high << 4 | low))
        }
        return bytes
    }
}
