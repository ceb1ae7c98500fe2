import COpenSSL
import Glibc

/// The TLS of one connection, on a descriptor that does not block.
final class TLSSession {
    private let session: OpaquePointer
    private var isEstablished = false
    private var hasFailed = false
    /// Whether the other side speaks HTTP in the clear.
    private(set) var hasMetHTTP = false
    /// Messages about keys that have come since the last data.
    private var keyMessages = 0

    /// So many of them are passed over: a side changes its key once in a gigabyte or more.
    private static let mostKeyMessages = 32

    /// Takes over a session of a context with `countMessages`.
    init(_ session: OpaquePointer) {
        self.session = session
        SSL_ctrl(
            session, SSL_CTRL_SET_MSG_CALLBACK_ARG, 0, Unmanaged.passUnretained(self).toOpaque())
    }

    deinit { SSL_free(session) }

    /// How far a call came.
    enum Outcome {
        case done(Int)
        /// Nothing can be done before the descriptor is readable or writable.
        case wantsRead, wantsWrite
        /// The other side has said that it sends no more.
        case ended
        case failed
    }

    func handshake() -> Outcome {
        let outcome = step { SSL_do_handshake($0) }
        if case .done = outcome { isEstablished = true }
        return outcome
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) -> Outcome {
        let outcome = step { SSL_read($0, buffer.baseAddress, Int32(clamping: buffer.count)) }
        if case .done = outcome { keyMessages = 0 }
        return outcome
    }

    /// Called by OpenSSL for each record and message.
    ///
    /// `SSL_read` goes on while there are messages and no data: a client that sends them without end (KeyUpdate,
    /// or hellos for another handshake) would keep the loop's thread inside of it. It finds the end of the
    /// stream instead.
    static let countMessages:
        @convention(c) (
            Int32, Int32, Int32, UnsafeRawPointer?, Int, OpaquePointer?, UnsafeMutableRawPointer?
        ) -> Void = { isSent, _, type, _, _, session, user in
            guard isSent == 0, type == SSL3_RT_HANDSHAKE, let user else { return }
            let own = Unmanaged<TLSSession>.fromOpaque(user).takeUnretainedValue()
            guard own.isEstablished else { return }
            own.keyMessages += 1
            if own.keyMessages > mostKeyMessages {
                Glibc.shutdown(SSL_get_fd(session), Int32(SHUT_RDWR))
            }
        }

    func write(_ bytes: UnsafeRawBufferPointer) -> Outcome {
        step { SSL_write($0, bytes.baseAddress, Int32(clamping: bytes.count)) }
    }

    /// Says that nothing more will be sent (RFC 8446, section 6.1).
    func shutdown() {
        guard isEstablished, !hasFailed else { return }
        _ = step { SSL_shutdown($0) }
    }

    /// The protocol chosen by ALPN; nil when the client did not offer any.
    var chosenProtocol: String? {
        var name: UnsafePointer<UInt8>?
        var length: UInt32 = 0
        SSL_get0_alpn_selected(session, &name, &length)
        guard let name, length > 0 else { return nil }
        return String(
            decoding: UnsafeBufferPointer(start: name, count: Int(length)), as: UTF8.self)
    }

    private func step(_ call: (OpaquePointer) -> Int32) -> Outcome {
        // The queue of errors is the thread's: another connection's must not be taken for ours.
        ERR_clear_error()
        let result = call(session)
        if result > 0 { return .done(Int(result)) }
        switch SSL_get_error(session, result) {
        case SSL_ERROR_WANT_READ: return .wantsRead
        case SSL_ERROR_WANT_WRITE: return .wantsWrite
        case SSL_ERROR_ZERO_RETURN: return .ended
        default:
            hasFailed = true
            hasMetHTTP = ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST
            return .failed
        }
    }
}
