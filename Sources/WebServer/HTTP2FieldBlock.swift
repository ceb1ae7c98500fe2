import CNghttp2

/// The fields of an answer as nghttp2 takes them: names in lower case, one buffer for all octets.
struct HTTP2FieldBlock {
    private var octets: [UInt8] = []
    private var bounds: [(name: Int, value: Int, end: Int)] = []

    init() {
        octets.reserveCapacity(256)
        bounds.reserveCapacity(8)
    }

    mutating func add(_ name: String, _ value: String) {
        add(name, value.utf8)
    }

    /// Adds a field; one that belongs to a connection is left out (RFC 9113, section 8.2.2), and
    /// what may not stand in a value becomes a blank.
    mutating func add(_ name: String, _ value: some Sequence<UInt8>) {
        let start = octets.count
        for byte in name.utf8 { octets.append(byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte) }
        let middle = octets.count
        for byte in value { octets.append(byte < 0x20 && byte != 9 || byte == 0x7f ? 0x20 : byte) }
        bounds.append((start, middle, octets.count))
        switch octets[start..<middle] {
        case let name where name.elementsEqual("connection".utf8),
            let name where name.elementsEqual("transfer-encoding".utf8),
            let name where name.elementsEqual("keep-alive".utf8),
            let name where name.elementsEqual("upgrade".utf8):
            bounds.removeLast()
        default: break
        }
    }

    func withFields(_ body: (UnsafeBufferPointer<nghttp2_nv>) -> Void) {
        octets.withUnsafeBufferPointer { octets in
            guard let base = UnsafeMutablePointer(mutating: octets.baseAddress) else { return }
            withUnsafeTemporaryAllocation(of: nghttp2_nv.self, capacity: bounds.count) { fields in
                for (index, field) in bounds.enumerated() {
                    fields.initializeElement(
                        at: index,
                        to: nghttp2_nv(
                            name: base + field.name, value: base + field.value,
                            namelen: field.value - field.name, valuelen: field.end - field.value,
                            flags: UInt8(NGHTTP2_NV_FLAG_NONE.rawValue)))
                }
                body(UnsafeBufferPointer(fields))
            }
        }
    }
}
