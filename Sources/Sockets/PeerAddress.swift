import CLinux
import Glibc

/// The address of the other side of a connection, without its port.
///
/// IPv4 addresses are held as IPv6 addresses that map them, so that one comparison does for both.
package struct PeerAddress: Hashable, Sendable {
    package let high: UInt64
    package let low: UInt64
    /// Whether the connection came through a Unix socket, which has no address.
    package let isLocal: Bool

    init(_ peer: clinux_peer) {
        high = peer.high
        low = peer.low
        isLocal = !peer.is_internet
    }

    init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
        isLocal = false
    }

    /// Reads `192.0.2.1` or `2001:db8::1`, in brackets or not; nil when it is neither.
    package init?(_ text: String) {
        var plain = text
        if plain.hasPrefix("["), plain.hasSuffix("]") {
            plain = String(plain.dropFirst().dropLast())
        }
        var four = in_addr()
        var six = in6_addr()
        if inet_pton(AF_INET, plain, &four) == 1 {
            self.init(high: 0, low: Self.mapped | UInt64(UInt32(bigEndian: four.s_addr)))
        } else if inet_pton(AF_INET6, plain, &six) == 1 {
            let halves = withUnsafeBytes(of: six) { bytes in
                (
                    bytes.loadUnaligned(as: UInt64.self),
                    bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
                )
            }
            self.init(high: UInt64(bigEndian: halves.0), low: UInt64(bigEndian: halves.1))
        } else {
            return nil
        }
    }

    /// What one customer is given as a whole: an IPv4 address, or an IPv6 network of 64 bits.
    package var network: PeerAddress { isMappedIPv4 ? self : PeerAddress(high: high, low: 0) }

    /// Whether it is this machine's own: 127.0.0.0/8 or ::1.
    package var isLoopback: Bool {
        isMappedIPv4 ? low >> 24 & 0xff == 127 : high == 0 && low == 1 && !isLocal
    }

    var isMappedIPv4: Bool { high == 0 && low >> 32 == 0xffff }

    private static let mapped: UInt64 = 0xffff << 32
}

extension PeerAddress: CustomStringConvertible {
    package var description: String {
        if isLocal { return "unix" }
        var six = in6_addr()
        withUnsafeMutableBytes(of: &six) { bytes in
            bytes.storeBytes(of: high.bigEndian, as: UInt64.self)
            bytes.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
        }
        if isMappedIPv4 { return dottedText }
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        inet_ntop(AF_INET6, &six, &text, socklen_t(text.count))
        return String(
            decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

extension PeerAddress {
    /// Of an IPv4 address; each connection has it made.
    private var dottedText: String {
        String(unsafeUninitializedCapacity: 15) { text in
            var place = 0
            func put(_ unit: UInt8) {
                text[place] = unit
                place += 1
            }
            for shift in stride(from: 24, through: 0, by: -8) {
                let octet = UInt8(truncatingIfNeeded: low >> UInt64(shift))
                if octet >= 100 { put(0x30 + octet / 100) }
                if octet >= 10 { put(0x30 + octet / 10 % 10) }
                put(0x30 + octet % 10)
                if shift > 0 { put(UInt8(ascii: ".")) }
            }
            return place
        }
    }
}

/// A network of addresses, `192.0.2.0/24`, `2001:db8::/32`, or one address.
package struct AddressRange: Hashable, Sendable {
    private let address: PeerAddress
    private let bits: Int

    /// Reads an address with or without the length of its prefix; nil when it is malformed.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, let address = PeerAddress(String(parts[0])) else { return nil }
        let width = address.isMappedIPv4 ? 32 : 128
        guard let length = parts.count == 2 ? Int(parts[1]) : width, (0...width).contains(length)
        else { return nil }
        self.address = address
        bits = 128 - width + length
    }

    package func contains(_ other: PeerAddress) -> Bool {
        guard !other.isLocal else { return false }
        // A shift by 64 or more leaves nothing, which is what a short prefix wants.
        let high = (address.high ^ other.high) >> UInt64(max(0, 64 - bits))
        let low = (address.low ^ other.low) >> UInt64(min(64, 128 - bits))
        return high == 0 && low == 0
    }
}

extension AddressRange: CustomStringConvertible {
    /// The address, and the length of its prefix unless it is a single one.
    package var description: String {
        let length = (address.isMappedIPv4 ? 32 : 128) - bits
        return bits == 0 ? address.description : "\(address)/\(length)"
    }
}
