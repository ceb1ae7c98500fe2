import Glibc

/// The bytes of a blob, wherever they are wanted; they stay readable when it is removed meanwhile.
package final class BlobReader: Sendable {
    /// How many there are.
    package let count: Int
    private let fd: Int32
    private let folder: BlobFolder

    init(_ fd: Int32, count: Int, of folder: BlobFolder) {
        self.fd = fd
        self.count = count
        self.folder = folder
    }

    deinit {
        let fd = fd
        folder.later { close(fd) }
    }

    /// At most `most` bytes from an offset on; none at the end.
    package func read(from offset: Int, _ most: Int) async throws(BlobError) -> [UInt8] {
        let fd = fd
        return try await folder.onThread { () throws(BlobError) in
            var code: Int32 = 0
            let piece = [UInt8](unsafeUninitializedCapacity: most) { buffer, count in
                let found = pread(fd, buffer.baseAddress, most, offset)
                if found < 0 { code = errno }
                count = max(0, found)
            }
            guard code == 0 else { throw BlobError(code, "read a blob") }
            return piece
        }
    }
}
