import Glibc
import Jobs

/// Keeps a second server off a data folder; held until the process ends or `release`.
struct StoreLock {
    private let fd: Int32

    init(directory: String) throws(StoreError) {
        guard Self.makeFolder(directory) else {
            throw .failed("cannot make the data folder \(directory): \(Self.error)")
        }
        let path = directory + "/martlet.lock"
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard fd >= 0 else { throw .failed("cannot open \(path): \(Self.error)") }
        guard flock(fd, LOCK_EX | LOCK_NB) == 0 else {
            var text = [UInt8](repeating: 0, count: 32)
            let count = max(0, read(fd, &text, text.count))
            close(fd)
            let owner = String(decoding: text[..<count].prefix { $0 > 32 }, as: UTF8.self)
            throw .locked(
                "The data folder \(directory) is in use by another server (process \(owner))."
                    + " Stop that one, or give this one a folder of its own with --data.")
        }
        let pid = Array("\(getpid())\n".utf8)
        ftruncate(fd, 0)
        _ = write(fd, pid, pid.count)
    }

    /// Makes a folder, and those above it, unless it is there.
    private static func makeFolder(_ path: String) -> Bool {
        if mkdir(path, 0o700) == 0 || errno == EEXIST { return true }
        guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
            return false
        }
        return makeFolder(String(path[..<slash]))
            && (mkdir(path, 0o700) == 0 || errno == EEXIST)
    }

    private static var error: String { String(cString: strerror(errno)) }

    /// A process that is just being started has the descriptor, too: closing it here alone would leave
    /// the folder locked until that one executes.
    func release() {
        flock(fd, LOCK_UN)
        close(fd)
    }
}
