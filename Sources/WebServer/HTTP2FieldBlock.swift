import CNghttp2
import HTTPWire

/// The fields of an answer as nghttp2 takes them: names in lower case, one buffer for all octets.
struct HTTP2FieldBlock {
    private var octets: [UInt8] = []
    private var bounds: [Bounds] = []

    private struct Bounds {
        let name: Int
        let value: Int
        let end: Int
        let isIndexed: Bool
    }

    /// Forgets the fields and keeps the room.
    mutating func begin(_ status: Int) {
        octets.removeAll(keepingCapacity: true)
        bounds.removeAll(keepingCapacity: true)
        own(":status") { $0.append(contentsOf: status == 200 ? "200".utf8 : String(status).utf8) }
    }

    /// Adds a field of the server's own: a name in lower case and a value that `write` appends.
    ///
    /// One whose value is another in each answer is not worth a place in the client's table.
    mutating func own(
        _ name: StaticString, isIndexed: Bool = true, _ write: (inout [UInt8]) -> Void,
    ) {
        let start = octets.count
        name.withUTF8Buffer { octets.append(contentsOf: $0) }
        let middle = octets.count
        write(&octets)
        bounds.append(Bounds(name: start, value: middle, end: octets.count, isIndexed: isIndexed))
    }

    /// Adds a field whose name, in lower case, and value the program itself has written.
    mutating func own(_ name: StaticString, _ value: StaticString) {
        own(name) { octets in value.withUTF8Buffer { octets.append(contentsOf: $0) } }
    }

    /// Adds a handler's field, as `HTTP1Writer.field` does.
    mutating func add(_ name: String, _ value: String) {
        guard ResponseFields.areOfHandlers(name) else { return }
        let start = octets.count
        octets.append(contentsOf: name.lowercased().utf8)
        let middle = octets.count
        octets.append(contentsOf: value.utf8)
        for index in middle..<octets.count where !octets[index].isFieldContent {
            octets[index] = 0x20
        }
        bounds.append(Bounds(name: start, value: middle, end: octets.count, isIndexed: true))
    }

    func withFields(_ body: (UnsafeBufferPointer<nghttp2_nv>) -> Void) {
        octets.withUnsafeBufferPointer { octets in
            guard let base = UnsafeMutablePointer(mutating: octets.baseAddress) else { return }
            withUnsafeTemporaryAllocation(of: nghttp2_nv.self, capacity: bounds.count) { fields in
                for (index, field) in bounds.enumerated() {
                    let flag = field.isIndexed ? NGHTTP2_NV_FLAG_NONE : NGHTTP2_NV_FLAG_NO_INDEX
                    fields.initializeElement(
                        at: index,
                        to: nghttp2_nv(
                            name: base + field.name, value: base + field.value,
                            namelen: field.value - field.name, valuelen: field.end - field.value,
                            flags: UInt8(flag.rawValue)))
                }
                body(UnsafeBufferPointer(fields))
            }
        }
    }
}
