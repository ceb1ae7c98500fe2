import CLinux
import Glibc

/// A cgroup of version 2: a folder whose files the kernel answers (cgroups(7), and
/// `Documentation/admin-guide/cgroup-v2.rst` in the kernel's sources).
struct Cgroup: Sendable, Equatable {
    let path: String

    /// What the kernel says of a want of memory in it.
    enum MemoryVerdict {
        case enough
        /// It has killed, because the cgroup's own bound was reached.
        case boundReached
        /// It has killed, because there was no more to be had further up.
        case shortage
    }

    // MARK: Bounds

    /// Bounds the memory of all that is in it together, of which nothing then goes to swap.
    ///
    /// What is over the bound already is reclaimed, which may take a while, or killed.
    ///
    /// - Parameter bytes: nil for no bound.
    /// - Throws: what the system answers.
    func boundMemory(_ bytes: Int?) throws(CgroupError) {
        // Where the kernel has no swap there is no such file.
        try? write(bytes == nil ? "max" : "0", to: "memory.swap.max")
        try write(bytes.map(String.init) ?? "max", to: "memory.max")
    }

    /// Bounds its processes and threads.
    func boundProcesses(_ count: Int) throws(CgroupError) {
        try write(String(count), to: "pids.max")
    }

    /// Bytes that no file on a disk stands behind; 0 when it is gone.
    var anonymousBytes: Int { number("anon", in: "memory.stat") ?? 0 }

    /// The most bytes that all in it have had together; nil before Linux 5.19.
    var peakBytes: Int? { words("memory.peak").first.flatMap { Int($0) } }

    var memoryVerdict: MemoryVerdict {
        guard number("oom_kill", in: "memory.events") ?? 0 > 0 else { return .enough }
        return number("oom", in: "memory.events") ?? 0 > 0 ? .boundReached : .shortage
    }

    // MARK: The end

    /// Kills all that is in it, also what is just being started.
    func kill() {
        do throws(CgroupError) {
            try write("1", to: "cgroup.kill")
        } catch {
            // Before Linux 5.14 one by one: each round meets what was started in the one before.
            for _ in 0..<100 {
                let left = processes
                if left.isEmpty { return }
                for pid in left { Glibc.kill(pid, SIGKILL) }
            }
        }
    }

    /// Kills all that is in it and removes it; blocks until what was killed has ended, 2 s at most.
    ///
    /// For the start and the end of a server. One that cannot be removed, for a process that no signal
    /// ends, is left to the next start (`CgroupFolder`).
    func remove() {
        kill()
        for _ in 0..<2000 {
            if removeIfEmpty() { return }
            usleep(1000)
        }
    }

    /// Removes it, and before it the cgroups that its processes have made in it.
    ///
    /// - Returns: false while there is something in one of them that has not ended.
    func removeIfEmpty() -> Bool {
        if removeAlone() { return true }
        let below = children
        return !below.isEmpty && below.allSatisfy { $0.removeIfEmpty() } && removeAlone()
    }

    /// - Returns: false while there is something in it; true also when it may not be removed.
    private func removeAlone() -> Bool {
        rmdir(path) == 0 || errno != EBUSY && errno != ENOTEMPTY
    }

    /// The cgroups in it.
    var children: [Cgroup] {
        guard let folder = opendir(path) else { return [] }
        defer { closedir(folder) }
        var found: [Cgroup] = []
        while let entry = readdir(folder) {
            let name = String(cString: clinux_entry_name(entry))
            guard entry.pointee.d_type == DT_DIR, name != ".", name != ".." else { continue }
            found.append(Cgroup(path: "\(path)/\(name)"))
        }
        return found
    }

    // MARK: Files

    var processes: [pid_t] {
        words("cgroup.procs").compactMap { pid_t($0) }
    }

    /// The words in one of its files.
    func words(_ file: String) -> [Substring] {
        (read(file) ?? "").split { $0 == " " || $0 == "\n" }
    }

    /// The number after a name in a file of such lines.
    private func number(_ name: String, in file: String) -> Int? {
        read(file)?.split(separator: "\n").first { $0.hasPrefix(name + " ") }
            .flatMap { Int($0.dropFirst(name.utf8.count + 1)) }
    }

    func read(_ file: String) -> String? { contents(of: "\(path)/\(file)") }

    func write(_ text: String, to file: String) throws(CgroupError) {
        let fd = open("\(path)/\(file)", O_WRONLY | O_CLOEXEC)
        guard fd >= 0 else { throw CgroupError("\(path)/\(file)", errno) }
        defer { close(fd) }
        let count = text.utf8.count
        guard Glibc.write(fd, text, count) == count else {
            throw CgroupError("\(path)/\(file)", errno)
        }
    }
}

/// What the system answered, for people.
struct CgroupError: Error, CustomStringConvertible {
    let description: String
    /// Of the call that failed; 0 when none has.
    let code: Int32

    init(_ path: String, _ code: Int32) {
        description = "\(path): \(String(cString: strerror(code)))"
        self.code = code
    }

    init(_ description: String) {
        self.description = description
        code = 0
    }
}
