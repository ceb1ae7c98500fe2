package import RawJSON

/// What one call may use of its machine; nil for no limit.
///
/// They are for functions in processes of their own, Python's and commands.
package struct CallLimits: Sendable, Equatable {
    /// Of the process: heap and other private memory, what it has imported included
    /// (`RLIMIT_DATA` of setrlimit(2)); with a cgroup of all that it has started, together.
    package var memoryBytes: Int?
    /// CPU time, of a map for one item; the kernel counts whole seconds.
    package var cpuSeconds: Int?
    /// Of the result as JSON, of a map for one item.
    package var outputBytes: Int?

    package init(memoryBytes: Int? = nil, cpuSeconds: Int? = nil, outputBytes: Int? = nil) {
        self.memoryBytes = memoryBytes
        self.cpuSeconds = cpuSeconds
        self.outputBytes = outputBytes
    }

    package var isEmpty: Bool { self == CallLimits() }

    /// These, and where one is nil that of `other`.
    package func or(_ other: CallLimits) -> CallLimits {
        CallLimits(
            memoryBytes: memoryBytes ?? other.memoryBytes,
            cpuSeconds: cpuSeconds ?? other.cpuSeconds,
            outputBytes: outputBytes ?? other.outputBytes)
    }

    /// Reads the members that a worker's greeting has of a function.
    package init(hello: RawJSON) {
        self.init(
            memoryBytes: hello.member("max_memory_bytes")?.int,
            cpuSeconds: hello.member("max_cpu_seconds")?.int,
            outputBytes: hello.member("max_output_bytes")?.int)
    }

    /// Appends those that are set, by the names of the API, to an object that is being written.
    package func writeMembers(to writer: inout JSONWriter) {
        if let memoryBytes { writer.member("max_memory_bytes", memoryBytes) }
        if let cpuSeconds { writer.member("max_cpu_seconds", cpuSeconds) }
        if let outputBytes { writer.member("max_output_bytes", outputBytes) }
    }
}
