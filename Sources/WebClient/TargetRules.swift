package import Sockets

/// Which addresses a client may connect to: the public ones and those that a list names.
///
/// Asked with the resolved address of each connection, also of those after a redirect, so that
/// neither a redirect nor a name that points inwards gets round them.
package struct TargetRules: Sendable {
    private var allowsAll = false
    private var blocks: [AddressBlock] = []
    private var names: Set<String> = []
    private var suffixes: [String] = []

    /// All public addresses.
    package static let publicOnly = TargetRules()

    /// Every address; for clients whose user chooses the target.
    package static let everything: TargetRules = {
        var rules = TargetRules()
        rules.allowsAll = true
        return rules
    }()

    private init() {}

    /// - Parameter list: what is allowed beside public addresses: blocks (`10.0.0.0/8`),
    ///   addresses, host names (`intranet.example`) whatever their address, and with a leading
    ///   dot all names below one (`.intranet.example`).
    /// - Throws: `badRequest` for an entry that is none of these.
    package init(allowing list: [String]) throws(WebError) {
        for entry in list {
            let name = entry.lowercased()
            if let block = AddressBlock(entry) {
                blocks.append(block)
            } else if !Self.isName(name) {
                throw .badRequest("\"\(entry)\" is no address, block of addresses or host name")
            } else if name.hasPrefix(".") {
                suffixes.append(name)
            } else {
                names.insert(name)
            }
        }
    }

    /// Whether a connection to an address may be made, for the host of that name.
    package func allow(_ address: IPAddress, host: String) -> Bool {
        if allowsAll || address.isPublic { return true }
        let translated = address.translated
        if blocks.contains(where: { $0.contains(address) || $0.contains(translated) }) {
            return true
        }
        var name = host.lowercased()
        if name.hasSuffix(".") { name.removeLast() }
        return names.contains(name) || suffixes.contains { name.hasSuffix($0) }
    }

    /// Letters, digits, hyphens and dots, and a letter somewhere: what looks like an address but
    /// is none must not pass as a name.
    private static func isName(_ text: String) -> Bool {
        let labels = text.split(separator: ".", omittingEmptySubsequences: true)
        let isClean = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
                true
            default: false
            }
        }
        let last = labels.last?.utf8.first ?? UInt8(ascii: "0")
        return isClean && !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(last)
    }
}
