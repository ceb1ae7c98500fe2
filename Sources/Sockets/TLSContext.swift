import COpenSSL
import Synchronization

/// Why TLS cannot be had: what was tried and OpenSSL's reason.
package struct TLSError: Error, CustomStringConvertible {
    package let description: String

    /// Takes the first error that OpenSSL has noted on this thread.
    init(_ what: String) {
        var text = [CChar](repeating: 0, count: 256)
        ERR_error_string_n(ERR_get_error(), &text, text.count)
        ERR_clear_error()
        let reason = String(
            decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        description = "TLS: \(what): \(reason)"
    }
}

/// A server's certificate, key and rules for TLS 1.2 and later.
package final class TLSContext: Sendable {
    private let files: Files
    private let current: Mutex<Loaded>

    /// Paths of PEM files.
    package struct Files: Sendable {
        /// The certificate, those that it hangs on behind it.
        package let certificate: String
        package let key: String
        /// Authorities, one of which must have signed each client's certificate; nil to ask for none.
        package let clientAuthorities: String?

        package init(certificate: String, key: String, clientAuthorities: String?) {
            self.certificate = certificate
            self.key = key
            self.clientAuthorities = clientAuthorities
        }
    }

    /// Frees the context when the last session that began with it has its own reference.
    private final class Loaded: @unchecked Sendable {
        // Unchecked: OpenSSL counts references to a context atomically; it is not changed once made.
        let context: OpaquePointer

        init(_ context: OpaquePointer) { self.context = context }

        deinit { SSL_CTX_free(context) }
    }

    /// Loads the files.
    ///
    /// - Throws: `TLSError` when one cannot be read or the key is not the certificate's.
    package init(_ files: Files) throws(TLSError) {
        self.files = files
        current = Mutex(try Self.load(files))
    }

    /// Loads the files again; connections that exist keep what they have.
    ///
    /// - Throws: as `init`; then the old certificate stays.
    package func reload() throws(TLSError) {
        let loaded = try Self.load(files)
        current.withLock { $0 = loaded }
    }

    /// A session for a connection that was accepted.
    ///
    /// - Throws: `TLSError` when there is no memory for it.
    func makeSession(_ descriptor: Int32) throws(TLSError) -> TLSSession {
        let loaded = current.withLock { $0 }
        guard let session = SSL_new(loaded.context) else { throw TLSError("cannot make a session") }
        let owned = TLSSession(session)
        guard SSL_set_fd(session, descriptor) == 1 else {
            throw TLSError("cannot make a session")
        }
        SSL_set_accept_state(session)
        return owned
    }

    private static func load(_ files: Files) throws(TLSError) -> Loaded {
        ERR_clear_error()
        guard let context = SSL_CTX_new(TLS_server_method()) else {
            throw TLSError("cannot make a context")
        }
        let loaded = Loaded(context)
        try harden(context)
        guard SSL_CTX_use_certificate_chain_file(context, files.certificate) == 1 else {
            throw TLSError("cannot use the certificate \(files.certificate)")
        }
        guard SSL_CTX_use_PrivateKey_file(context, files.key, SSL_FILETYPE_PEM) == 1,
            SSL_CTX_check_private_key(context) == 1
        else { throw TLSError("cannot use the key \(files.key)") }
        if let authorities = files.clientAuthorities {
            guard SSL_CTX_load_verify_locations(context, authorities, nil) == 1,
                let names = SSL_load_client_CA_file(authorities)
            else { throw TLSError("cannot use the client authorities \(authorities)") }
            SSL_CTX_set_client_CA_list(context, names)
            SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
        }
        return loaded
    }

    private static func harden(_ context: OpaquePointer) throws(TLSError) {
        // RFC 9113, section 9.2.2 wants these of TLS 1.2: ephemeral keys and authenticated ciphers.
        let ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20"
        guard
            SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, Int(TLS1_2_VERSION), nil) == 1,
            SSL_CTX_set_cipher_list(context, ciphers) == 1
        else { throw TLSError("cannot choose versions and ciphers") }
        // RFC 9113, section 9.2.1: neither.
        let noRenegotiation: UInt64 = 1 << 30  // SSL_OP_NO_RENEGOTIATION
        let noCompression: UInt64 = 1 << 17  // SSL_OP_NO_COMPRESSION
        SSL_CTX_set_options(context, noRenegotiation | noCompression)
        let partial = 1  // SSL_MODE_ENABLE_PARTIAL_WRITE
        let moving = 2  // SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
        let release = 16  // SSL_MODE_RELEASE_BUFFERS: an idle connection holds none
        SSL_CTX_ctrl(context, SSL_CTRL_MODE, partial | moving | release, nil)
        SSL_CTX_set_session_id_context(context, "martlet", 7)
        // A key that wants a passphrase is refused; nobody is asked on a terminal.
        SSL_CTX_set_default_passwd_cb(context) { _, _, _, _ in 0 }
        SSL_CTX_set_msg_callback(context, TLSSession.countMessages)
        SSL_CTX_set_alpn_select_cb(context, chooseProtocol, nil)
    }

    // RFC 7301; HTTP/2 goes first. With nothing in common the handshake fails (section 3.2).
    private static let chooseProtocol: SSL_CTX_alpn_select_cb_func = {
        _, out, outLength, offered, offeredLength, _ in
        let ours: StaticString = "\u{2}h2\u{8}http/1.1"
        return out?.withMemoryRebound(to: UnsafeMutablePointer<UInt8>?.self, capacity: 1) { out in
            SSL_select_next_proto(
                out, outLength, ours.utf8Start, UInt32(ours.utf8CodeUnitCount), offered,
                offeredLength) == OPENSSL_NPN_NEGOTIATED
                ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL
        } ?? SSL_TLSEXT_ERR_ALERT_FATAL
    }
}
