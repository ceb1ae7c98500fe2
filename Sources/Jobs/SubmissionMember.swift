import RawJSON

/// A member that a submission may have.
enum SubmissionMember: Int, CaseIterable {
    case function, args, map, spread, pool, concurrency, chunk, queue, priority, delay, timeout
    case retry, keep, tags, cpus, unique, cache
    case onError, notBefore, maxMemoryBytes, maxCPUSeconds, maxOutputBytes

    /// As clients write it.
    var name: String { Self.names[rawValue] }

    static let names = allCases.map { member in
        switch member {
        case .onError: "on_error"
        case .notBefore: "not_before"
        case .maxMemoryBytes: "max_memory_bytes"
        case .maxCPUSeconds: "max_cpu_seconds"
        case .maxOutputBytes: "max_output_bytes"
        default: "\(member)"
        }
    }

    /// The member of a name as it was sent, quotes included; nil for an unknown one.
    init?(sent name: borrowing RawJSON) {
        let octets = name.bytes.withUnsafeBytes { bytes in
            Self.octets(UnsafeRawBufferPointer(rebasing: bytes[1..<bytes.count - 1]))
        }
        // A name may also be written with escapes.
        guard
            let place = Self.known.firstIndex(of: octets)
                ?? name.string.flatMap(Self.names.firstIndex)
        else { return nil }
        self.init(rawValue: place)
    }

    private static let known = names.map { Array($0.utf8).withUnsafeBytes(octets) }

    /// One to sixteen octets as a number, which is another one for every name, since no valid one
    /// has an octet 0; 0 for more and for none.
    private static func octets(_ name: UnsafeRawBufferPointer) -> UInt128 {
        var number: UInt128 = 0
        guard name.count <= 16 else { return number }
        withUnsafeMutableBytes(of: &number) { $0.copyMemory(from: name) }
        return number
    }
}

/// Members, as the bits of a word.
struct SubmissionMembers {
    private var bits: UInt32 = 0

    func contains(_ member: SubmissionMember) -> Bool { bits & 1 << UInt32(member.rawValue) != 0 }

    /// Adds a member; false when it is there already.
    mutating func insert(_ member: SubmissionMember) -> Bool {
        guard !contains(member) else { return false }
        bits |= 1 << UInt32(member.rawValue)
        return true
    }
}
