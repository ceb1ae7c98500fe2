/// Octets on their way out: written at the end, sent from the front.
///
/// An answer's head is many small writes. An array would ask at each of them whether it has but one
/// owner, and take them in as it takes in any sequence.
package struct OctetBuffer: ~Copyable, @unchecked Sendable {
    // Unchecked: it alone has the room, and lends it under the rules of `unsafeBytes`.
    private var room = UnsafeMutableBufferPointer<UInt8>(start: nil, count: 0)
    /// Where what is held begins and ends in the room.
    private var start = 0
    private var end = 0

    package init() {}

    deinit { room.deallocate() }

    package var count: Int { end - start }

    package var capacity: Int { room.count }

    /// What is held; the pointer holds until the buffer is changed.
    package var unsafeBytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: room[start..<end]))
    }

    // MARK: Writing

    package mutating func append(_ octet: UInt8) { grow(by: 1).pointee = octet }

    package mutating func append(_ octets: UnsafeBufferPointer<UInt8>) {
        guard let source = octets.baseAddress, !octets.isEmpty else { return }
        grow(by: octets.count).update(from: source, count: octets.count)
    }

    @inline(__always) package mutating func append(_ text: StaticString) {
        grow(by: text.utf8CodeUnitCount)
            .update(from: text.utf8Start, count: text.utf8CodeUnitCount)
    }

    package mutating func append(_ octets: [UInt8]) {
        octets.withUnsafeBufferPointer { append($0) }
    }

    package mutating func append(_ octets: ArraySlice<UInt8>) {
        octets.withUnsafeBufferPointer { append($0) }
    }

    package mutating func append(_ text: String) {
        var text = text
        text.withUTF8 { append($0) }
    }

    /// Makes the end `count` octets later; where they stand, to be written at once.
    @inline(__always)
    private mutating func grow(by count: Int) -> UnsafeMutablePointer<UInt8> {
        if room.count - end < count { makeRoom(count) }
        defer { end += count }
        return room.baseAddress.unsafelyUnwrapped + end
    }

    private mutating func makeRoom(_ more: Int) {
        let larger = UnsafeMutableBufferPointer<UInt8>.allocate(
            capacity: max(512, 2 * room.count, count + more))
        _ = larger.update(fromContentsOf: room[start..<end])
        room.deallocate()
        (room, start, end) = (larger, 0, end - start)
    }

    // MARK: Taking away

    /// Drops the first `count` octets, which have been sent.
    package mutating func drop(_ count: Int) {
        precondition(count <= self.count, "not so many octets are held")
        start += count
        if start == end { removeAll() }
    }

    /// Forgets what is held and keeps the room.
    package mutating func removeAll() { (start, end) = (0, 0) }
}

extension [UInt8] {
    /// What a buffer holds from its octet `start` on.
    package init(_ buffer: borrowing OctetBuffer, from start: Int = 0) {
        self.init(buffer.unsafeBytes[start...])
    }
}
