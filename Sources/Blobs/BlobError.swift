import Glibc

/// Why a blob could not be kept or read.
package enum BlobError: Error, Equatable, CustomStringConvertible {
    /// The bytes have another digest than the name says.
    case mismatch(actual: BlobDigest)
    /// No room on the disk.
    case full(String)
    /// The disk or the folder does not do what is asked.
    case failed(String)

    /// What a system call's `errno` means.
    init(_ code: Int32, _ doing: String) {
        let text = "cannot \(doing): \(String(cString: strerror(code)))"
        self = code == ENOSPC || code == EDQUOT ? .full(text) : .failed(text)
    }

    package var description: String {
        switch self {
        case .mismatch(let actual): "the bytes have the SHA-256 \(actual)"
        case .full(let detail), .failed(let detail): detail
        }
    }
}
