/// Follows what an HTTP/2 client sends as far as to tell whether it owes the rest of something: of
/// the preface and the first frame (RFC 9113, section 3.4), of a frame (4.1), of a field block that
/// goes on in another frame (4.3).
///
/// The rest of a DATA frame is not owed here: how fast bodies are to come is a question of its own.
package struct HTTP2FrameBounds {
    private enum Part { case preface, header, payload }

    private var part = Part.preface
    /// Octets of the preface or the payload that are still to come.
    private var rest = HTTP2Preface.count
    private var headerOctets = 0
    private var length = 0
    private var type: UInt8 = 0
    private var flags: UInt8 = 0
    private var isBlockOpen = false

    /// Frames that have come whole, a field block with its continuations as one.
    package private(set) var whole = 0

    package init() {}

    /// Whether the client has begun something, or is to, and owes the rest.
    package var isRestOwed: Bool {
        if whole == 0 || isBlockOpen { return true }
        return part == .header ? headerOctets > 0 : type != Self.data
    }

    /// Adds what has come next.
    package mutating func follow(_ bytes: Span<UInt8>) {
        var at = 0
        while at < bytes.count {
            guard part == .header else {
                let count = min(rest, bytes.count - at)
                at += count
                rest -= count
                if rest == 0 { partEnds() }
                continue
            }
            addToHeader(bytes[at])
            at += 1
        }
    }

    private static let (data, headers, continuation) = (UInt8(0), UInt8(1), UInt8(9))
    private static let endHeaders: UInt8 = 0x4

    private mutating func addToHeader(_ octet: UInt8) {
        switch headerOctets {
        case 0..<3: length = length << 8 | Int(octet)
        case 3: type = octet
        case 4: flags = octet
        default: break  // the stream
        }
        headerOctets += 1
        guard headerOctets == 9 else { return }
        part = .payload
        rest = length
        if rest == 0 { partEnds() }
    }

    /// The preface or a frame is whole; the next frame begins.
    private mutating func partEnds() {
        if part == .payload {
            if type == Self.headers || type == Self.continuation {
                isBlockOpen = flags & Self.endHeaders == 0
            }
            if !isBlockOpen { whole += 1 }
        }
        part = .header
        headerOctets = 0
        length = 0
    }
}
