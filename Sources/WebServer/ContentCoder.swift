import CZlib
import CZstd

/// Compresses one answer (RFC 9110, section 8.4.1), whole or piece by piece.
///
/// Used through a `LiveCoder` alone, each use of which is awaited before the next begins.
protocol ContentCoder: AnyObject, SendableMetatype {
    /// As it is named in `Content-Encoding`.
    static var name: String { get }
    /// Memory that it takes while it lives, about.
    static var heldBytes: Int { get }

    /// nil for want of memory.
    init?()

    /// What `bytes` become; all that was put in can be read from what has come out so far.
    func code(_ bytes: [UInt8], isLast: Bool) -> [UInt8]
}

enum ContentCoders {
    /// Those that this server has, the better first.
    static let all: [any ContentCoder.Type] = [ZstdCoder.self, GzipCoder.self]
    static let names = all.map { $0.name }
}

/// gzip (RFC 1952).
final class GzipCoder: ContentCoder, @unchecked Sendable {
    // Unchecked: as `ContentCoder` says.
    static let name = "gzip"
    // zconf.h: 128 KiB for the window, as much for the rest, and what is its own.
    static let heldBytes = 288 << 10
    private let state: UnsafeMutablePointer<z_stream>

    init?() {
        state = .allocate(capacity: 1)
        state.initialize(to: z_stream())
        // Level 4 takes half the time of the usual 6 for a few hundredths more bytes. A window of
        // 15 bits, and 16 more for gzip's wrapping.
        guard
            deflateInit2_(
                state, 4, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
                Int32(MemoryLayout<z_stream>.size)) == Z_OK
        else { return nil }
    }

    deinit {
        deflateEnd(state)
        state.deallocate()
    }

    func code(_ bytes: [UInt8], isLast: Bool) -> [UInt8] {
        var input = bytes
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count / 4 + 64)
        input.withUnsafeMutableBufferPointer { input in
            state.pointee.next_in = input.baseAddress
            state.pointee.avail_in = UInt32(input.count)
            withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 16 << 10) { room in
                repeat {
                    state.pointee.next_out = room.baseAddress
                    state.pointee.avail_out = UInt32(room.count)
                    deflate(state, isLast ? Z_FINISH : Z_SYNC_FLUSH)
                    let count = room.count - Int(state.pointee.avail_out)
                    output.append(contentsOf: UnsafeBufferPointer(rebasing: room[..<count]))
                } while state.pointee.avail_out == 0
            }
        }
        return output
    }
}

/// Zstandard (RFC 8878).
final class ZstdCoder: ContentCoder, @unchecked Sendable {
    // Unchecked: as `ContentCoder` says.
    static let name = "zstd"
    // ZSTD_sizeof_CCtx says 1,785 KiB.
    static let heldBytes = 1792 << 10
    private let context: OpaquePointer

    init?() {
        guard let context = ZSTD_createCCtx() else { return nil }
        self.context = context
        ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, 3)
        // The level's own window of 2 MiB takes half of the memory and finds no more in JSON. (RFC 9659
        // allows 8.)
        ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, 18)
    }

    deinit { ZSTD_freeCCtx(context) }

    func code(_ bytes: [UInt8], isLast: Bool) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count / 4 + 64)
        bytes.withUnsafeBytes { bytes in
            var input = ZSTD_inBuffer(src: bytes.baseAddress, size: bytes.count, pos: 0)
            withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 16 << 10) { room in
                var left = 0
                repeat {
                    var out = ZSTD_outBuffer(dst: room.baseAddress, size: room.count, pos: 0)
                    left = ZSTD_compressStream2(
                        context, &out, &input, isLast ? ZSTD_e_end : ZSTD_e_flush)
                    output.append(contentsOf: UnsafeBufferPointer(rebasing: room[..<out.pos]))
                    // An error is of memory or of a wrong use alone; cut short, what is coded cannot be
                    // decoded to its end, so that the client sees it.
                } while left != 0 && ZSTD_isError(left) == 0
            }
        }
        return output
    }
}
