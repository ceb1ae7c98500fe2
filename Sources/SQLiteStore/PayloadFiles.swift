import CLinux
import Glibc
import Jobs

/// The files with large submissions and results of a store, for who reads them; the calls block.
///
/// `PayloadFolder` says how they come and go.
struct PayloadFiles: Sendable {
    /// Of the folder, which need not be there.
    let path: String

    /// Of a store's data folder.
    init(in directory: String) { path = directory + "/payloads" }

    /// At most `count` bytes of a file from an offset on, none at its end; nil when it is not there.
    func read(_ name: String, from offset: Int, _ count: Int) throws(StoreError) -> [UInt8]? {
        guard let reader = try PayloadReader(place(of: name)) else { return nil }
        defer { reader.close() }
        return try reader.read(from: offset, count)
    }

    /// All bytes of a file; nil when it is not there.
    func whole(_ name: String) throws(StoreError) -> [UInt8]? {
        guard let reader = try PayloadReader(place(of: name)) else { return nil }
        defer { reader.close() }
        return try reader.read(from: 0, reader.count)
    }

    /// Bytes of a file; nil when it is not there.
    func size(of name: String) throws(StoreError) -> Int? {
        guard let reader = try PayloadReader(place(of: name)) else { return nil }
        defer { reader.close() }
        return reader.count
    }

    /// The names of the files; none when the folder is not there.
    func names() throws(StoreError) -> [String] {
        guard let folder = opendir(path) else {
            if errno == ENOENT { return [] }
            throw StoreError(errno, "read \(path)")
        }
        defer { closedir(folder) }
        var found: [String] = []
        while let entry = readdir(folder) {
            let name = String(cString: clinux_entry_name(entry))
            if !name.hasPrefix(".") { found.append(name) }
        }
        return found
    }

    /// Removes all files but some, unless somebody reads them as of one moment.
    ///
    /// - Returns: how many there were.
    func removeOrphans(but named: [PayloadFile]) throws(StoreError) -> Int {
        guard let hold = PayloadHold(self, .removing) else { return 0 }
        defer { hold.release() }
        let orphans = Set(try names()).subtracting(named.map(\.name))
        for name in orphans { unlink(place(of: name)) }
        return orphans.count
    }

    func place(of name: String) -> String { path + "/" + name }
}

/// An open file of the folder; what it holds stays readable when it is removed meanwhile.
struct PayloadReader {
    let count: Int
    private let fd: Int32

    /// Nil when the file is not there.
    init?(_ path: String) throws(StoreError) {
        fd = open(path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else {
            if errno == ENOENT { return nil }
            throw StoreError(errno, "read \(path)")
        }
        var status = stat()
        guard fstat(fd, &status) == 0 else {
            let code = errno
            Glibc.close(fd)
            throw StoreError(code, "look at \(path)")
        }
        count = status.st_size
    }

    func close() { Glibc.close(fd) }

    func read(from offset: Int, _ most: Int) throws(StoreError) -> [UInt8] {
        var code: Int32 = 0
        let wanted = max(0, min(most, count - offset))
        let bytes = [UInt8](unsafeUninitializedCapacity: wanted) { buffer, initialized in
            while initialized < wanted {
                let found = pread(
                    fd, buffer.baseAddress.map { $0 + initialized }, wanted - initialized,
                    offset + initialized)
                if found < 0, errno == EINTR { continue }
                if found < 0 { code = errno }
                guard found > 0 else { return }
                initialized += found
            }
        }
        guard code == 0 else { throw StoreError(code, "read a file of the store") }
        return bytes
    }
}

/// Keeps the files as they are while a backup or the doctor reads them beside a server.
struct PayloadHold {
    private let fd: Int32

    enum Purpose {
        /// Many may read at once; it waits for who removes.
        case reading
        /// Not while anybody reads.
        case removing
    }

    /// Nil when the folder is not there, or not to be had now.
    init?(_ files: PayloadFiles, _ purpose: Purpose) {
        fd = open(files.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard fd >= 0 else { return nil }
        let mode = purpose == .reading ? LOCK_SH : LOCK_EX | LOCK_NB
        guard flock(fd, mode) == 0 else {
            close(fd)
            return nil
        }
    }

    func release() {
        flock(fd, LOCK_UN)  // as of `StoreLock`
        close(fd)
    }
}

extension StoreError {
    /// What a system call's `errno` means.
    init(_ code: Int32, _ doing: String) {
        let text = "cannot \(doing): \(String(cString: strerror(code)))"
        self = code == ENOSPC || code == EDQUOT ? .full(text) : .failed(text)
    }
}
