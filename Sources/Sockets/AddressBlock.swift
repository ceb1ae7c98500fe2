/// All IP addresses that begin with the same bits: a network, or one address.
package struct AddressBlock: Sendable, Hashable {
    private let prefix: IPAddress
    private let length: Int

    /// - Parameters:
    ///   - address: any of the block.
    ///   - length: bits that count, of the 128 of version 6.
    package init(_ address: IPAddress, length: Int) {
        prefix = IPAddress(bits: address.bits & Self.mask(length))
        self.length = length
    }

    /// Reads `10.0.0.0/8`, `fd00::/8` or one address; nil for anything else.
    ///
    /// Bits behind the prefix do not matter: `10.1.2.3/8` is `10.0.0.0/8`.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, let address = IPAddress(String(parts[0])) else { return nil }
        let isIPv4 = !parts[0].contains(":")
        var length = 128
        if parts.count == 2 {
            guard let given = Int(parts[1]), (0...(isIPv4 ? 32 : 128)).contains(given) else {
                return nil
            }
            length = isIPv4 ? given + 96 : given
        }
        self.init(address, length: length)
    }

    package func contains(_ address: IPAddress) -> Bool {
        address.bits & Self.mask(length) == prefix.bits
    }

    private static func mask(_ length: Int) -> UInt128 {
        length == 0 ? 0 : UInt128.max << UInt128(128 - length)
    }
}

extension AddressBlock: CustomStringConvertible {
    /// As it is read: the address, and the length of its prefix unless it is a single one.
    package var description: String {
        guard length < 128 else { return prefix.description }
        return "\(prefix)/\(prefix.isIPv4 ? length - 96 : length)"
    }
}
