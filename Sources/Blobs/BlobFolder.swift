import CLinux
import Glibc
import Synchronization
package import Threads

/// Immutable bytes by their SHA-256: a file each in one folder, beside the store.
///
/// A file with a digest's name is whole and synced: it is written beside and renamed. Workers map
/// the files. When they hold more than `mostBytes`, those used longest ago are removed: a file's
/// modification time is when it was last used, by whomever.
package final class BlobFolder: Sendable {
    package let path: String
    /// Bytes of all blobs together, and so of one.
    package let mostBytes: Int
    private let threads = ThreadExecutor(name: "blobs", threads: 2)
    private let heldBytes: Mutex<Int>

    private static let draftSuffix = ".part"

    /// Opens the folder, making it if it is not there, and removes what an upload has left behind.
    package init(at path: String, mostBytes: Int) throws(BlobError) {
        self.path = path
        self.mostBytes = mostBytes
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
            throw BlobError(errno, "make \(path)")
        }
        heldBytes = Mutex(0)
        for file in try files() {
            if file.name.hasSuffix(Self.draftSuffix) {
                unlink(path + "/" + file.name)
            } else {
                heldBytes.withLock { $0 += file.bytes }
            }
        }
    }

    /// Ends the threads when what was begun is done.
    package func stop() { threads.stop() }

    /// The size of a blob, which counts as a use of it; nil when it is not there.
    package func bytes(of digest: BlobDigest) async throws(BlobError) -> Int? {
        try await onThread { () throws(BlobError) in
            let file = self.file(digest)
            guard let status = try self.status(file) else { return nil }
            utimensat(AT_FDCWD, file, nil, 0)
            return status.st_size
        }
    }

    /// The file with a blob's bytes; nil when it is not there.
    package func content(of digest: BlobDigest) async throws(BlobError) -> OpenFile? {
        try await onThread { () throws(BlobError) in
            do throws(FileError) {
                let content = try OpenFile(self.file(digest), on: self.threads)
                if let content { futimens(content.descriptor, nil) }
                return content
            } catch {
                throw BlobError(error.code, error.doing)
            }
        }
    }

    /// Begins to take the bytes that are to have this digest.
    package func upload(_ digest: BlobDigest) async throws(BlobError) -> BlobUpload {
        try await onThread { () throws(BlobError) in
            let number = UInt64.random(in: .min ... .max)
            let draft = self.file(digest) + ".\(number)" + Self.draftSuffix
            let fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
            guard fd >= 0 else { throw BlobError(errno, "make \(draft)") }
            return BlobUpload(digest, fd: fd, draft: draft, to: self)
        }
    }

    /// Forgets a blob; false when it is not there.
    ///
    /// Who has mapped it keeps what is mapped.
    package func remove(_ digest: BlobDigest) async throws(BlobError) -> Bool {
        try await onThread { () throws(BlobError) in try self.removeFile(digest.description) }
    }

    // MARK: On the threads

    func onThread<Value: Sendable>(
        _ body: @escaping @Sendable () throws(BlobError) -> Value,
    ) async throws(BlobError) -> Value {
        let result: Result<Value, BlobError> = await withCheckedContinuation { continuation in
            threads.execute { continuation.resume(returning: Result(catching: body)) }
        }
        return try result.get()
    }

    /// As `onThread`, without waiting for it.
    func later(_ body: @escaping @Sendable () -> Void) { threads.execute(body) }

    /// Gives a whole, synced draft its name; it is durable then.
    func admit(_ draft: String, as digest: BlobDigest, bytes: Int) throws(BlobError) {
        let file = file(digest)
        let isNew = try status(file) == nil
        guard rename(draft, file) == 0 else { throw BlobError(errno, "name \(file)") }
        let folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { throw BlobError(errno, "open \(path)") }
        defer { close(folder) }
        guard fsync(folder) == 0 else { throw BlobError(errno, "sync \(path)") }
        guard isNew else { return }
        let held = heldBytes.withLock { held in
            held += bytes
            return held
        }
        if held > mostBytes { try prune(but: digest) }
    }

    private func file(_ digest: BlobDigest) -> String { "\(path)/\(digest)" }

    private func status(_ file: String) throws(BlobError) -> stat? {
        var status = stat()
        if stat(file, &status) == 0 { return status }
        if errno == ENOENT { return nil }
        throw BlobError(errno, "look at \(file)")
    }

    private func removeFile(_ name: String) throws(BlobError) -> Bool {
        let file = path + "/" + name
        guard let status = try status(file) else { return false }
        guard unlink(file) == 0 else {
            if errno == ENOENT { return false }  // another was quicker, and counts it
            throw BlobError(errno, "remove \(file)")
        }
        heldBytes.withLock { $0 -= status.st_size }
        return true
    }

    /// Removes what was used longest ago until the rest fits; never the newest.
    private func prune(but newest: BlobDigest) throws(BlobError) {
        let oldestFirst = try files()
            .filter { $0.name.utf8.count == 64 && $0.name != newest.description }
            .sorted { $0.lastUse < $1.lastUse }
        for file in oldestFirst {
            guard heldBytes.withLock({ $0 }) > mostBytes else { return }
            _ = try removeFile(file.name)
        }
    }

    private struct File {
        let name: String
        let bytes: Int
        /// Nanoseconds since 1970.
        let lastUse: Int
    }

    private func files() throws(BlobError) -> [File] {
        guard let folder = opendir(path) else { throw BlobError(errno, "read \(path)") }
        defer { closedir(folder) }
        var found: [File] = []
        while let entry = readdir(folder) {
            let name = String(cString: clinux_entry_name(entry))
            var status = stat()
            guard !name.hasPrefix("."), stat(path + "/" + name, &status) == 0 else { continue }
            found.append(
                File(
                    name: name, bytes: status.st_size,
                    lastUse: status.st_mtim.tv_sec * 1_000_000_000 + status.st_mtim.tv_nsec))
        }
        return found
    }
}
