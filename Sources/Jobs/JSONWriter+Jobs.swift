package import RawJSON

/// Values of jobs go into documents without a text of their own.
extension JSONWriter {
    package mutating func member(_ name: StaticString, _ id: JobID) {
        member(name, plain: JobID.textLength) { id.write(to: $0) }
    }

    /// As RFC 3339 has it, in UTC with microseconds.
    package mutating func member(_ name: StaticString, _ time: Timestamp) {
        member(name, plain: Timestamp.textLength) { time.write(to: $0) }
    }
}
