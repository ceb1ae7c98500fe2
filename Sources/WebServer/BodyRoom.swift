import CLinux

extension [UInt8] {
    /// Makes room at the end of a body of which `left` bytes more are announced, for a read of
    /// `least` or what is left.
    ///
    /// The announcement is believed as far as 16 times what has come: little is moved to larger room
    /// so, and who sends nothing is lent no more than a read. What is not written to is no memory yet.
    mutating func makeRoom(for left: Int, atLeast least: Int) {
        guard capacity - count < Swift.min(left, least) else { return }
        reserveCapacity(count + Swift.min(left, Swift.max(least, 15 * count)))
        // Of 2 MiB each, of which nobody is to have one for a few bytes.
        guard count >= 512 << 10 else { return }
        let room = capacity
        withUnsafeMutableBytes { clinux_prefer_huge_pages($0.baseAddress, room) }
    }
}
