package import Glibc

/// An IP address; one of version 4 is kept as the mapped one of version 6, `::ffff:a.b.c.d`, so
/// that both spellings are the same.
package struct NetworkAddress: Sendable, Hashable, CustomStringConvertible {
    let bits: UInt128

    init(bits: UInt128) { self.bits = bits }

    init(ipv4 number: UInt32) { bits = 0xffff << 32 | UInt128(number) }

    /// Reads `192.0.2.1` or `2001:db8::1`; nil for anything else, also for `127.1` and `0x7f.0.0.1`.
    package init?(_ text: String) {
        var four = in_addr()
        var six = in6_addr()
        if inet_pton(AF_INET, text, &four) == 1 {
            self.init(ipv4: UInt32(bigEndian: four.s_addr))
        } else if inet_pton(AF_INET6, text, &six) == 1 {
            self.init(six)
        } else {
            return nil
        }
    }

    /// The address of a socket; nil when it is not of the Internet.
    package init?(_ socket: UnsafePointer<sockaddr>) {
        let raw = UnsafeRawPointer(socket)
        switch Int32(socket.pointee.sa_family) {
        case AF_INET:
            let address = raw.loadUnaligned(as: sockaddr_in.self).sin_addr
            self.init(ipv4: UInt32(bigEndian: address.s_addr))
        case AF_INET6: self.init(raw.loadUnaligned(as: sockaddr_in6.self).sin6_addr)
        default: return nil
        }
    }

    private init(_ address: in6_addr) {
        bits = withUnsafeBytes(of: address) {
            UInt128(bigEndian: $0.loadUnaligned(as: UInt128.self))
        }
    }

    var isIPv4: Bool { bits >> 32 == 0xffff }

    /// The address of version 4 that this one of version 6 leads to through a translator.
    ///
    /// NAT64 (RFC 6052, section 2.1) and 6to4 (RFC 3056, section 2); itself for all others.
    var translated: NetworkAddress {
        if AddressBlock.nat64.contains(self) {
            return NetworkAddress(ipv4: UInt32(truncatingIfNeeded: bits))
        }
        if AddressBlock.sixToFour.contains(self) {
            return NetworkAddress(ipv4: UInt32(truncatingIfNeeded: bits >> 80))
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

    package var description: String {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        if isIPv4 {
            var address = in_addr(s_addr: UInt32(truncatingIfNeeded: bits).bigEndian)
            inet_ntop(AF_INET, &address, &text, socklen_t(text.count))
        } else {
            var address = in6_addr()
            withUnsafeMutableBytes(of: &address) {
                $0.storeBytes(of: bits.bigEndian, as: UInt128.self)
            }
            inet_ntop(AF_INET6, &address, &text, socklen_t(text.count))
        }
        return text.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
    }
}

/// All addresses that begin with the same bits.
struct AddressBlock: Sendable, Hashable {
    private let prefix: UInt128
    private let length: Int

    private init(_ address: NetworkAddress, length: Int) {
        prefix = address.bits & Self.mask(length)
        self.length = length
    }

    /// Reads `10.0.0.0/8`, `fd00::/8` or one address; nil for anything else.
    init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, let address = NetworkAddress(String(parts[0])) else { return nil }
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

    func contains(_ address: NetworkAddress) -> Bool {
        address.bits & Self.mask(length) == prefix
    }

    private static func mask(_ length: Int) -> UInt128 {
        length == 0 ? 0 : UInt128.max << UInt128(128 - length)
    }

    private static func blocks(_ texts: String...) -> [AddressBlock] { texts.compactMap(Self.init) }

    static let nat64 = AddressBlock(NetworkAddress(bits: 0x64_ff9b << 96), length: 96)
    static let sixToFour = AddressBlock(NetworkAddress(bits: 0x2002 << 112), length: 16)
    static let globalUnicast = AddressBlock(NetworkAddress(bits: 0x2000 << 112), length: 3)

    /// IANA's special-purpose registry of version 4 (RFC 6890), multicast and reserved.
    static let specialIPv4 = blocks(
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4")

    /// What is special inside global unicast: protocol assignments with Teredo, documentation.
    static let specialIPv6 = blocks("2001::/23", "2001:db8::/32", "3fff::/20")
}
