import CLinux
import Glibc

/// A file to be read by clients that take their time: what it holds stays readable when it is
/// removed meanwhile.
///
/// The calls that may wait for a disk run on threads that may block.
package final class OpenFile: Sendable {
    /// Bytes that it had when it was opened.
    package let count: Int
    /// Open as long as this object is there.
    package let descriptor: Int32
    private let threads: ThreadExecutor

    /// Opens a file; the call blocks.
    ///
    /// - Parameters:
    ///   - path: of the file; there is no object when nothing is there.
    ///   - threads: where it is read.
    /// - Throws: when it is there and cannot be opened.
    package init?(_ path: String, on threads: ThreadExecutor) throws(FileError) {
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw FileError("read \(path)")
        }
        self.threads = threads
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            let error = FileError("look at \(path)")
            close(descriptor)
            throw error
        }
        count = status.st_size
    }

    deinit {
        // There, too: who closes a removed file last frees what it took on the disk.
        let descriptor = descriptor
        threads.execute { close(descriptor) }
    }

    /// At most `most` bytes from an offset on; none at the end.
    package func read(from offset: Int, _ most: Int) async throws(FileError) -> [UInt8] {
        try await onThread { () throws(FileError) in
            var error: FileError?
            let piece = [UInt8](unsafeUninitializedCapacity: most) { buffer, count in
                let found = pread(self.descriptor, buffer.baseAddress, most, offset)
                if found < 0 { error = FileError("read a file") }
                count = max(0, found)
            }
            if let error { throw error }
            return piece
        }
    }

    /// Brings a part into memory, if it is not there, for who must not wait for a disk.
    package func bringIn(_ part: Range<Int>) async throws(FileError) {
        // Where the kernel cannot tell, before Linux 6.5, it is read in any case.
        if clinux_is_cached(descriptor, Int64(part.lowerBound), Int64(part.count)) { return }
        try await onThread { () throws(FileError) in
            let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 64)
            defer { room.deallocate() }
            var offset = part.lowerBound
            while offset < part.upperBound {
                let count = pread(self.descriptor, room.baseAddress, room.count, offset)
                if count < 0 { throw FileError("read a file") }
                if count == 0 { return }
                offset += count
            }
        }
    }

    private func onThread<Value: Sendable>(
        _ body: @escaping @Sendable () throws(FileError) -> Value,
    ) async throws(FileError) -> Value {
        let result: Result<Value, FileError> = await withUnsafeContinuation { continuation in
            threads.execute { continuation.resume(returning: Result(catching: body)) }
        }
        return try result.get()
    }
}

/// What the system says of a file that cannot be read.
package struct FileError: Error, Equatable, CustomStringConvertible {
    /// The `errno`.
    package let code: Int32
    /// What was tried.
    package let doing: String

    fileprivate init(_ doing: String) {
        code = errno
        self.doing = doing
    }

    package var description: String { "cannot \(doing): \(String(cString: strerror(code)))" }
}
