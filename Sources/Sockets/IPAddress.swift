package import Glibc

/// An IP address; one of version 4 is kept as the mapped one of version 6, `::ffff:a.b.c.d` (RFC 4291,
/// section 2.5.5.2), so that both spellings are the same.
package struct IPAddress: Sendable, Hashable {
    package let bits: UInt128

    package init(bits: UInt128) { self.bits = bits }

    package init(ipv4 number: UInt32) { bits = 0xffff << 32 | UInt128(number) }

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

    /// The same as it stands in a URL, where one of version 6 is in brackets (RFC 3986, section 3.2.2).
    package init?(host text: String) {
        let isBracketed = text.hasPrefix("[") && text.hasSuffix("]")
        self.init(isBracketed ? String(text.dropFirst().dropLast()) : text)
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

    package var isIPv4: Bool { bits >> 32 == 0xffff }

    /// Whether it is this machine's own: 127.0.0.0/8 or ::1.
    package var isLoopback: Bool { isIPv4 ? bits >> 24 & 0xff == 127 : bits == 1 }
}

extension IPAddress: CustomStringConvertible {
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
