import Digests

/// The name of a blob: its SHA-256 in 64 lower-case hexadecimal digits.
package struct BlobDigest: Hashable, Sendable, CustomStringConvertible {
    package let description: String

    /// Nil when the text is no such name.
    package init?(_ text: String) {
        let isHexadecimal = text.utf8.allSatisfy {
            (0x30...0x39).contains($0) || (0x61...0x66).contains($0)
        }
        guard text.utf8.count == 64, isHexadecimal else { return nil }
        description = text
    }

    init(bytes: [UInt8]) { description = bytes.hexadecimal }
}
