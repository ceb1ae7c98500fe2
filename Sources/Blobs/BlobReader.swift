import Glibc

/// The bytes of a blob, piece by piece; they stay readable when the blob is removed meanwhile.
package final class BlobReader: Sendable {
    private let fd: Int32
    private let folder: BlobFolder

    private static let pieceBytes = 256 << 10

    init(_ fd: Int32, of folder: BlobFolder) {
        self.fd = fd
        self.folder = folder
    }

    deinit {
        let fd = fd
        folder.later { close(fd) }
    }

    /// The next bytes; nil at the end.
    ///
    /// One call at a time.
    package func next() async throws(BlobError) -> [UInt8]? {
        let fd = fd
        let piece = try await folder.onThread { () throws(BlobError) in
            var code: Int32 = 0
            let piece = [UInt8](unsafeUninitializedCapacity: Self.pieceBytes) { buffer, count in
                let found = read(fd, buffer.baseAddress, Self.pieceBytes)
                if found < 0 { code = errno }
                count = max(0, found)
            }
            guard code == 0 else { throw BlobError(code, "read a blob") }
            return piece
        }
        return piece.isEmpty ? nil : piece
    }
}
