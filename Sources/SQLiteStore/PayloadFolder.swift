import Glibc
import Jobs
import RawJSON
import Synchronization
import Threads

/// The large submissions and results of a store: a file each in a folder beside the database.
///
///     bytes ──► file, synced; its folder, synced ──► row that names it, committed ──► answer
///     row that names it no more, committed ──► file removed
///
/// Wherever the server is ended in between, a row's file is there. At most a file is left that no
/// row names, which the next start removes. A file that is named never changes.
final class PayloadFolder: Sendable {
    let files: PayloadFiles
    private let threads: ThreadExecutor
    /// Files to be removed.
    private let doomed = Mutex<[PayloadFile]>([])
    /// Held while files are removed.
    private let removal = Mutex(())
    private let bytesHeld = Atomic<Int>(0)

    /// Opens the folder, making it if it is not there.
    init(_ files: PayloadFiles) throws(StoreError) {
        self.files = files
        if mkdir(files.path, 0o700) == 0 {
            try Self.sync(files.path + "/..")
        } else if errno != EEXIST {
            throw StoreError(errno, "make \(files.path)")
        }
        threads = ThreadExecutor(name: "store-files", threads: 2)
    }

    /// Bytes of the files.
    var bytes: Int { bytesHeld.load(ordering: .relaxed) }

    /// Ends the threads when what was begun is done; waits for it.
    func finish() { threads.finish() }

    // MARK: Keeping

    /// Writes texts to files of their own, which are on the disk when it returns.
    ///
    /// - Parameters:
    ///   - texts: with the files that they become.
    ///   - isReadSoon: whether the kernel is to keep them in memory, too.
    /// - Throws: `full` when there is no room; then none is kept.
    func keep(
        _ texts: [(file: PayloadFile, text: RawJSON)], isReadSoon: Bool,
    ) async throws(StoreError) {
        let result: Result<Void, StoreError> = await withUnsafeContinuation { continuation in
            threads.execute {
                continuation.resume(
                    returning: Result { () throws(StoreError) in
                        try self.write(texts, isReadSoon: isReadSoon)
                    })
            }
        }
        try result.get()
    }

    private func write(
        _ texts: [(file: PayloadFile, text: RawJSON)], isReadSoon: Bool,
    ) throws(StoreError) {
        do throws(StoreError) {
            for (file, text) in texts { try write(file, text.bytes, isReadSoon: isReadSoon) }
            try Self.sync(files.path)
        } catch {
            for (file, _) in texts { unlink(files.place(of: file.name)) }
            throw error
        }
        for (file, _) in texts { bytesHeld.add(file.bytes, ordering: .relaxed) }
    }

    private func write(
        _ file: PayloadFile, _ bytes: ArraySlice<UInt8>, isReadSoon: Bool,
    ) throws(StoreError) {
        let place = files.place(of: file.name)
        let fd = open(place, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard fd >= 0 else { throw StoreError(errno, "make \(place)") }
        defer { close(fd) }
        var rest = bytes
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(fd, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw StoreError(errno, "write \(place)") }
            rest = rest.dropFirst(count)
        }
        guard fdatasync(fd) == 0 else { throw StoreError(errno, "sync \(place)") }
        // The pages take the next file then; it would else take ever new ones, up to all there are.
        if !isReadSoon { posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) }
    }

    private static func sync(_ folder: String) throws(StoreError) {
        let fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard fd >= 0 else { throw StoreError(errno, "open \(folder)") }
        defer { close(fd) }
        guard fsync(fd) == 0 else { throw StoreError(errno, "sync \(folder)") }
    }

    // MARK: Removing

    /// Removes files that no row names any more, soon but without waiting for it.
    func remove(_ files: [PayloadFile]) {
        guard !files.isEmpty else { return }
        doomed.withLock { $0 += files }
        threads.execute { self.removeDoomed() }
    }

    /// Removes what could not be before, because a backup was reading.
    func tidy() {
        if doomed.withLock({ !$0.isEmpty }) { threads.execute { self.removeDoomed() } }
    }

    private func removeDoomed() {
        removal.withLock { _ in
            // While somebody reads the files as of one moment, they stay.
            guard let hold = PayloadHold(files, .removing) else { return }
            defer { hold.release() }
            let gone = doomed.withLock { doomed in
                defer { doomed = [] }
                return doomed
            }
            for file in gone {
                // One that cannot be removed is left to the next start, as after a crash.
                unlink(files.place(of: file.name))
                bytesHeld.subtract(file.bytes, ordering: .relaxed)
            }
        }
    }

    /// Takes over what an earlier server has left: the files that rows name; the others go.
    ///
    /// - Returns: how many went.
    func begin(with named: [PayloadFile]) throws(StoreError) -> Int {
        bytesHeld.store(named.reduce(0) { $0 + $1.bytes }, ordering: .relaxed)
        return try files.removeOrphans(but: named)
    }
}

/// A file of the folder as a job's row names it.
struct PayloadFile: Sendable, Equatable {
    let name: String
    let bytes: Int

    init(name: String, bytes: Int) {
        self.name = name
        self.bytes = bytes
    }

    /// A new one, whose name tells people what it is.
    init(_ part: String, of job: JobID, bytes: Int) {
        let number = String(UInt64.random(in: .min ... .max), radix: 36)
        self.init(name: "\(job).\(part).\(number)", bytes: bytes)
    }
}
