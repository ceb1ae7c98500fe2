import Digests
import Glibc

/// Half of a SHA-256 over some parts: those that have the same one are the same.
package struct Fingerprint: ~Copyable {
    private let hash = SHA256()

    package init() {}

    /// Adds a part; where it begins and ends counts, too.
    package mutating func add(_ part: some Sequence<UInt8>) {
        let isAdded: Void? = part.withContiguousStorageIfAvailable { bytes in
            withUnsafeBytes(of: UInt64(bytes.count).littleEndian) { hash.add($0) }
            hash.add(UnsafeRawBufferPointer(bytes))
        }
        if isAdded == nil { add(Array(part)) }
    }

    package mutating func add(_ part: String) { add(Array(part.utf8)) }

    /// 16 bytes; nothing can be added any more.
    package consuming func bytes() -> [UInt8] { Array(hash.finish().prefix(16)) }

    /// Of a file's content, in hexadecimal; nil when it cannot be read or has over 64 MiB.
    ///
    /// It blocks.
    package static func ofFile(_ path: String) -> String? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        var fingerprint = Fingerprint()
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        var size = 0
        while case let count = fread(&buffer, 1, buffer.count, file), count > 0 {
            fingerprint.add(buffer[..<count])
            size += count
            if size > 64 << 20 { return nil }
        }
        guard ferror(file) == 0 else { return nil }
        return fingerprint.bytes().hexadecimal
    }
}
