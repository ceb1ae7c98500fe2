/// Where the other side of a connection is, without its port.
package enum PeerAddress: Hashable, Sendable {
    case internet(IPAddress)
    /// On this machine, through a Unix socket.
    case unix

    /// What one customer is given as a whole: an IPv4 address, or an IPv6 network of 64 bits.
    package var network: PeerAddress {
        guard case .internet(let address) = self, !address.isIPv4 else { return self }
        return .internet(IPAddress(bits: (address.bits >> 64) << 64))
    }
}

extension PeerAddress: CustomStringConvertible {
    package var description: String {
        switch self {
        case .internet(let address): address.description
        case .unix: "unix"
        }
    }
}
