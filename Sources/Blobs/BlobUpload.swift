import Digests
import Glibc

/// Takes the bytes of one blob, one call at a time.
///
/// What is not finished leaves nothing behind.
package final class BlobUpload: @unchecked Sendable {
    // Unchecked: each call is awaited before the next, and the rest is touched by `deinit` alone.
    private let digest: BlobDigest
    private let fd: Int32
    private let draft: String
    private let folder: BlobFolder
    private let hash = SHA256()
    private var bytes = 0

    init(_ digest: BlobDigest, fd: Int32, draft: String, to folder: BlobFolder) {
        self.digest = digest
        self.fd = fd
        self.draft = draft
        self.folder = folder
    }

    deinit {
        let (fd, draft) = (fd, draft)
        folder.later {
            close(fd)
            unlink(draft)  // there no more if it was admitted
        }
    }

    /// Writes the next bytes.
    package func add(_ piece: [UInt8]) async throws(BlobError) {
        try await folder.onThread { () throws(BlobError) in
            self.hash.add(piece)
            var rest = piece[...]
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes { write(self.fd, $0.baseAddress, $0.count) }
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { throw BlobError(errno, "write \(self.draft)") }
                rest = rest.dropFirst(count)
            }
            self.bytes += piece.count
        }
    }

    /// Checks the digest; when it returns, the blob is there and on disk.
    package func finish() async throws(BlobError) {
        try await folder.onThread { () throws(BlobError) in
            let actual = BlobDigest(bytes: self.hash.finish())
            guard actual == self.digest else { throw BlobError.mismatch(actual: actual) }
            guard fdatasync(self.fd) == 0 else { throw BlobError(errno, "sync \(self.draft)") }
            try self.folder.admit(self.draft, as: self.digest, bytes: self.bytes)
        }
    }
}
