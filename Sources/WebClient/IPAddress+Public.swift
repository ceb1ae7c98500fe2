import Sockets

/// Which addresses are public, by IANA's registries of special-purpose addresses.
extension IPAddress {
    /// The address of version 4 that this one of version 6 leads to through a translator.
    ///
    /// NAT64 (RFC 6052, section 2.1) and 6to4 (RFC 3056, section 2); itself for all others.
    var translated: IPAddress {
        if AddressBlock.nat64.contains(self) {
            return IPAddress(ipv4: UInt32(truncatingIfNeeded: bits))
        }
        if AddressBlock.sixToFour.contains(self) {
            return IPAddress(ipv4: UInt32(truncatingIfNeeded: bits >> 80))
        }
        return self
    }

    /// Whether it can be reached from all over the Internet; false where in doubt.
    var isPublic: Bool {
        let target = translated
        if target.isIPv4 { return !AddressBlock.specialIPv4.contains { $0.contains(target) } }
        return AddressBlock.globalUnicast.contains(target)
            && !AddressBlock.specialIPv6.contains { $0.contains(target) }
    }
}

extension AddressBlock {
    private static func blocks(_ texts: String...) -> [AddressBlock] {
        texts.compactMap { AddressBlock($0) }
    }

    fileprivate static let nat64 = AddressBlock(IPAddress(bits: 0x64_ff9b << 96), length: 96)
    fileprivate static let sixToFour = AddressBlock(IPAddress(bits: 0x2002 << 112), length: 16)
    fileprivate static let globalUnicast = AddressBlock(IPAddress(bits: 0x2000 << 112), length: 3)

    /// Of version 4 (RFC 6890), multicast and reserved.
    fileprivate static let specialIPv4 = blocks(
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4")

    /// What is special inside global unicast: protocol assignments with Teredo, documentation.
    fileprivate static let specialIPv6 = blocks("2001::/23", "2001:db8::/32", "3fff::/20")
}
