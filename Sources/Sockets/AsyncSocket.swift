import CLinux
import Glibc

/// A connected stream socket whose reads and writes suspend the task instead of the thread.
///
/// The descriptor is registered, edge-triggered, when first something must be waited for, which a
/// connection of one request that is answered at once never sees, and once more when it first has no
/// room for what is to be written, which most never see. A read that fills less than its buffer has drained the socket
/// (epoll(7)), so that a request costs one `recv` and no second one that only says "nothing more".
/// One task may read while another writes; not two at once of either.
/// All methods are for the loop's thread.
package final class AsyncSocket: EventHandler, @unchecked Sendable {
    // Unchecked: used on the thread of `loop` alone, which the methods assert.
    package let loop: EventLoop
    private var fd: Int32
    /// What has not been tried is taken to be possible.
    private var isReadable = true
    private var isWritable = true
    private var isWatched = false
    private var isRoomWatched = false
    /// Whether the other side has said that it sends no more, or the connection is broken.
    package private(set) var hasHungUp = false
    /// Whether there may be something to read that has not been.
    package var mayHaveMore: Bool { isReadable }
    /// Whether nothing can be sent to the other side any more.
    package private(set) var isBroken = false
    /// Called when there may be something to read, or the read has expired, and no task waits for
    /// it: to wait so needs no task.
    package var onReadable: (() -> Void)?
    /// Called when there may be room to write, and no task waits for it.
    package var onWritable: (() -> Void)?
    private var reader: UnsafeContinuation<Void, Never>?
    private var writer: UnsafeContinuation<Void, Never>?
    private var tls: TLSSession?
    private var readExpired = false
    private var writeExpired = false

    /// Takes over a non-blocking descriptor.
    package init(_ fd: Int32, on loop: EventLoop) {
        self.fd = fd
        tls = nil
        self.loop = loop
    }

    /// Takes over a non-blocking descriptor to be encrypted; the first thing to do is `handshake()`.
    ///
    /// - Throws: `TLSError` when there is no memory for a session; the descriptor is closed then, for
    ///   nothing must ever be said on it in the clear.
    package init(_ fd: Int32, on loop: EventLoop, secure: TLSContext) throws(TLSError) {
        do throws(TLSError) {
            tls = try secure.makeSession(fd)
        } catch {
            Glibc.close(fd)
            throw error
        }
        self.fd = fd
        self.loop = loop
    }

    deinit {
        if fd >= 0 { Glibc.close(fd) }
    }

    private static let events = EPOLLIN.rawValue | EPOLLRDHUP.rawValue | EPOLLET.rawValue

    /// Has the loop tell what becomes possible, and what is so already.
    ///
    /// Reading and writing see to it by themselves where they must wait; it is for those who wait
    /// for something else, to learn that the other side is gone.
    ///
    /// - Throws: `SocketError.system` when the kernel refuses the descriptor.
    package func watch() throws(SocketError) {
        guard !isWatched, fd >= 0 else { return }
        try loop.watch(fd, Self.events, handler: self)
        isWatched = true
    }

    package func ready(_ events: UInt32) {
        let hangUp = EPOLLRDHUP.rawValue | EPOLLHUP.rawValue | EPOLLERR.rawValue
        if events & hangUp != 0 { hasHungUp = true }
        if events & (EPOLLIN.rawValue | hangUp) != 0 { isReadable = true }
        // TLS may have to write in order to read, and the other way round.
        if tls != nil { (isReadable, isWritable) = (true, true) }
        let dead = EPOLLHUP.rawValue | EPOLLERR.rawValue
        if events & dead != 0 { isBroken = true }
        if events & (EPOLLOUT.rawValue | dead) != 0 {
            isWritable = true
        }
        if isReadable { resumeReader() }
        if isWritable { resumeWriter() }
    }

    // MARK: TLS

    /// Whether the connection is to be encrypted.
    package var isSecure: Bool { tls != nil }

    /// The protocol that both sides have chosen (RFC 7301); nil without TLS or without a choice.
    package var chosenProtocol: String? { tls?.chosenProtocol }

    /// Agrees on keys with the other side; does nothing without TLS.
    ///
    /// After a failure what is read is as it came: to be dropped. Nothing more is sent but to who is
    /// `unencrypted`, in the clear.
    ///
    /// - Throws: `timedOut` after `expireRead()`, `unencrypted` when the other side has begun with a
    ///   request of HTTP, else `closed` when it cannot be agreed with.
    package func handshake() async throws(SocketError) {
        guard let tls else { return }
        while fd >= 0 {
            if readExpired {
                readExpired = false
                throw .timedOut
            }
            switch tls.handshake() {
            case .done: return
            case .wantsRead:
                isReadable = false
                try watch()
                await untilReadable()
            case .wantsWrite:
                isReadable = false
                try awaitRoom()
                await untilReadable()
            case .ended, .failed:
                let isHTTP = tls.hasMetHTTP
                if !isHTTP { shutdownWrite() }
                self.tls = nil
                isReadable = true
                throw isHTTP ? .unencrypted : .closed
            }
        }
        throw .closed
    }

    private func readNow(
        _ tls: TLSSession, into buffer: UnsafeMutableRawBufferPointer,
    ) throws(SocketError) -> Int? {
        while isReadable {
            guard fd >= 0 else { throw .closed }
            switch tls.read(into: buffer) {
            case .done(let count): return count
            case .ended: return 0
            case .wantsRead: isReadable = false
            case .wantsWrite:
                isReadable = false
                try awaitRoom()
            case .failed: throw .closed
            }
        }
        guard fd >= 0 else { throw .closed }
        try watch()
        return nil
    }

    private func writeNow(_ outcome: TLSSession.Outcome) throws(SocketError) -> Int {
        switch outcome {
        case .done(let count): return count
        case .wantsRead, .wantsWrite:
            try awaitRoom()
            return 0
        case .ended, .failed: throw .closed
        }
    }

    // MARK: Reading

    /// Reads what there is, waiting for the first byte.
    ///
    /// - Returns: the number of bytes put into `buffer`; 0 at the end of the stream.
    /// - Throws: `timedOut` after `expireRead()`, `closed` after `close()`, else `system`.
    package func read(into buffer: UnsafeMutableRawBufferPointer) async throws(SocketError) -> Int {
        while true {
            if let count = try readNow(into: buffer) { return count }
            await untilReadable()
        }
    }

    /// Waits until there may be something to read, or the read has expired.
    package func untilReadable() async {
        await withUnsafeContinuation { continuation in
            if isReadable || readExpired || fd < 0 {
                continuation.resume()
            } else {
                reader = continuation
            }
        }
    }

    /// Reads what there is without waiting; nil when there is nothing yet.
    package func readNow(into buffer: UnsafeMutableRawBufferPointer) throws(SocketError) -> Int? {
        assert(loop.isCurrent)
        if readExpired {
            readExpired = false
            throw .timedOut
        }
        if let tls { return try readNow(tls, into: buffer) }
        while isReadable {
            guard fd >= 0 else { throw .closed }
            let count = recv(fd, buffer.baseAddress, buffer.count, 0)
            if count >= 0 {
                // The end of the stream must still be found after a short read.
                if count > 0, count < buffer.count, !hasHungUp { isReadable = false }
                return count
            }
            switch errno {
            case EAGAIN: isReadable = false
            case EINTR: continue
            default: throw .system("recv", errno)
            }
        }
        guard fd >= 0 else { throw .closed }
        try watch()
        return nil
    }

    /// Makes the read that waits, or the next one, fail with `timedOut`.
    package func expireRead() {
        readExpired = true
        resumeReader()
    }

    /// Has the next read ask the kernel, which may have more that the loop has not been told of.
    package func lookAgain() { isReadable = true }

    // MARK: Writing

    /// Waits until there may be room to write, or the write has expired.
    package func untilWritable() async {
        await withUnsafeContinuation { continuation in
            if isWritable || writeExpired || fd < 0 {
                continuation.resume()
            } else {
                writer = continuation
            }
        }
    }

    /// Writes as much as fits without waiting.
    ///
    /// - Parameters:
    ///   - bytes: to be sent.
    ///   - isLast: whether the end of the stream follows at once, by `close` or `shutdownWrite`, with which the
    ///     kernel then sends them: one packet less.
    /// - Returns: the number of bytes taken; fewer than given when the buffer is full.
    /// - Throws: `timedOut` after `expireWrite()`, `closed` after `close()`, else `system`.
    package func writeNow(
        _ bytes: UnsafeRawBufferPointer, isLast: Bool = false,
    ) throws(SocketError) -> Int {
        assert(loop.isCurrent)
        if writeExpired {
            writeExpired = false
            throw .timedOut
        }
        var sent = 0
        let flags = Int32(MSG_NOSIGNAL) | (isLast ? Int32(MSG_MORE) : 0)
        while sent < bytes.count, isWritable {
            guard fd >= 0 else { throw .closed }
            let rest = UnsafeRawBufferPointer(rebasing: bytes[sent...])
            if let tls {
                sent += try writeNow(tls.write(rest))
                continue
            }
            let count = send(fd, rest.baseAddress, rest.count, flags)
            if count >= 0 {
                sent += count
                continue
            }
            switch errno {
            case EAGAIN: try awaitRoom()
            case EINTR: continue
            default: throw .system("send", errno)
            }
        }
        guard fd >= 0 else { throw .closed }
        return sent
    }

    package func writeNow(_ bytes: ArraySlice<UInt8>) throws(SocketError) -> Int {
        try bytes.span.bytes.withUnsafeBytes { octets throws(SocketError) in
            try writeNow(octets)
        }
    }

    /// Writes as much of a part of a file as fits, without waiting for room and without a copy.
    ///
    /// What is not in the page cache is waited for. Not with TLS.
    ///
    /// - Returns: the number of bytes taken, 0 when there is no room; nil when the file has no more.
    package func sendNow(_ file: Int32, _ part: Range<Int>) throws(SocketError) -> Int? {
        assert(loop.isCurrent && tls == nil)
        if writeExpired {
            writeExpired = false
            throw .timedOut
        }
        while isWritable {
            guard fd >= 0 else { throw .closed }
            var offset = off_t(part.lowerBound)
            let count = sendfile(fd, file, &offset, part.count)
            if count >= 0 { return count == 0 ? nil : count }
            switch errno {
            case EAGAIN: try awaitRoom()
            case EINTR: continue
            default: throw .system("sendfile", errno)
            }
        }
        guard fd >= 0 else { throw .closed }
        return 0
    }

    /// Notes that nothing can be written until the kernel says so.
    private func awaitRoom() throws(SocketError) {
        isWritable = false
        try watch()
        guard !isRoomWatched else { return }
        isRoomWatched = true
        loop.change(fd, Self.events | EPOLLOUT.rawValue)
    }

    /// Makes the write that waits, or the next one, fail with `timedOut`.
    package func expireWrite() {
        writeExpired = true
        resumeWriter()
    }

    // MARK: End

    /// Says to the other side that nothing more will be sent.
    package func shutdownWrite() {
        tls?.shutdown()
        if fd >= 0 { shutdown(fd, Int32(SHUT_WR)) }
    }

    /// Bytes that have been sent and that the other side has not acknowledged.
    package var untakenBytes: Int { fd >= 0 ? Int(clinux_untaken_bytes(fd)) : 0 }

    /// Whether the kernel breaks the connection at the close, so that the other side sees that what it has is
    /// not whole, instead of sending on what it holds.
    package var abortsOnClose = false {
        didSet {
            var setting = linger(l_onoff: abortsOnClose ? 1 : 0, l_linger: 0)
            guard fd >= 0, abortsOnClose != oldValue else { return }
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &setting, socklen_t(MemoryLayout<linger>.size))
        }
    }

    /// Closes the descriptor; tasks that wait fail with `closed`.
    ///
    /// May be called twice.
    package func close() {
        guard fd >= 0 else { return }
        // RFC 8446, section 6.1: what ends without this alert is cut off.
        if !abortsOnClose { tls?.shutdown() }
        loop.forget(fd)
        Glibc.close(fd)
        fd = -1
        isReadable = true
        isWritable = true
        resumeReader()
        resumeWriter()
    }

    private func resumeReader() {
        guard let waiting = reader else {
            onReadable?()
            return
        }
        reader = nil
        waiting.resume()
    }

    private func resumeWriter() {
        guard let waiting = writer else {
            onWritable?()
            return
        }
        writer = nil
        waiting.resume()
    }
}
