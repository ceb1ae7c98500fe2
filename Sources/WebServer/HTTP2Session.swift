import CNghttp2

/// What an HTTP/2 session tells while it reads and writes.
protocol HTTP2SessionEvents: AnyObject {
    /// A client's frame begins; returns an error code to end the session with, or nil.
    func frameBegins(type: UInt8, stream: Int32) -> UInt32?
    func headBegins(_ stream: Int32)
    func trailerBegins()
    /// A field of the head or trailer that has begun; false when no more are borne.
    func field(_ name: Span<UInt8>, _ value: Span<UInt8>, isTrailer: Bool) -> Bool
    func headIsComplete(_ stream: Int32, endsStream: Bool)
    func data(_ bytes: UnsafeBufferPointer<UInt8>, _ stream: Int32)
    func bodyIsComplete(_ stream: Int32)
    func streamClosed(_ stream: Int32)
    func frameWasInvalid(_ stream: Int32)
    /// The client is told that it has broken a rule: of a stream, which is reset, or, with 0, of the whole
    /// connection.
    func errorLeft(_ stream: Int32)
    /// The last frame of an answer has been given out to be sent.
    func answerLeft(_ stream: Int32)
}

/// What a stream has to send of an answer.
enum HTTP2Reading {
    case bytes(Int, isLast: Bool)
    /// Nothing now; `resume` is called when there is.
    case later
}

/// nghttp2's server side of one connection (RFC 9113): frames in, events out, and back.
///
/// Does no I/O. Windows are opened by `consume` alone, when somebody has used what came.
final class HTTP2Session {
    private var session: OpaquePointer?
    /// Whether nghttp2 cannot go on, for want of memory: then the connection is over.
    private var hasFailed = false
    private(set) unowned var events: (any HTTP2SessionEvents)?

    /// Bytes that a client may send ahead on one stream.
    private static let window: Int32 = 1 << 20
    /// The same on all together, more than on one: a stream that nobody reads is not to hold up the others.
    private static let windowOfAll: Int32 = 4 << 20

    /// Makes ready to serve a client; to be called once, before anything else.
    func open(events: any HTTP2SessionEvents, streams: Int, headBytes: Int) {
        self.events = events
        var callbacks: OpaquePointer?
        nghttp2_session_callbacks_new(&callbacks)
        defer { nghttp2_session_callbacks_del(callbacks) }
        setHTTP2Callbacks(callbacks)
        var options: OpaquePointer?
        nghttp2_option_new(&options)
        defer { nghttp2_option_del(options) }
        nghttp2_option_set_no_auto_window_update(options, 1)
        // Rapid reset (CVE-2023-44487): a burst, then so many a second.
        nghttp2_option_set_stream_reset_rate_limit(options, 1000, 100)
        nghttp2_option_set_max_settings(options, 32)
        nghttp2_option_set_max_outbound_ack(options, 1000)
        nghttp2_option_set_max_continuations(options, 8)
        note(
            nghttp2_session_server_new2(
                &session, callbacks, Unmanaged.passUnretained(self).toOpaque(), options))
        guard !hasFailed else { return }
        let settings = [
            Self.entry(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, UInt32(streams)),
            Self.entry(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, UInt32(headBytes)),
            Self.entry(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, UInt32(Self.window)),
        ]
        note(
            nghttp2_submit_settings(
                session, UInt8(NGHTTP2_FLAG_NONE.rawValue), settings, settings.count))
        nghttp2_session_set_local_window_size(
            session, UInt8(NGHTTP2_FLAG_NONE.rawValue), 0, Self.windowOfAll)
    }

    deinit { nghttp2_session_del(session) }

    private func note(_ result: Int32) {
        if result < 0, nghttp2_is_fatal(result) != 0 { hasFailed = true }
    }

    private static func entry(
        _ id: nghttp2_settings_id, _ value: UInt32,
    ) -> nghttp2_settings_entry {
        nghttp2_settings_entry(settings_id: Int32(id.rawValue), value: value)
    }

    // MARK: Bytes

    /// Reads what the client has sent; the reason when the session cannot go on.
    func receive(_ bytes: UnsafeBufferPointer<UInt8>) -> nghttp2_error_code? {
        guard !hasFailed else { return NGHTTP2_INTERNAL_ERROR }
        let count = nghttp2_session_mem_recv(session, bytes.baseAddress, bytes.count)
        if count == bytes.count { return nil }
        // RFC 9113, section 10.5.
        return count == Int(NGHTTP2_ERR_FLOODED.rawValue)
            ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_PROTOCOL_ERROR
    }

    /// The next bytes to send, good until the next call; empty when there are none.
    func nextOutput() -> UnsafeBufferPointer<UInt8> {
        guard !hasFailed else { return UnsafeBufferPointer(start: nil, count: 0) }
        var data: UnsafePointer<UInt8>?
        let count = nghttp2_session_mem_send(session, &data)
        if count < 0 { hasFailed = true }
        return UnsafeBufferPointer(start: data, count: max(0, count))
    }

    /// Frames that are to be sent and have not been given out.
    var waitingFrames: Int { nghttp2_session_get_outbound_queue_size(session) }

    /// Whether both sides have said all, or nothing more can be said.
    var isOver: Bool {
        hasFailed
            || nghttp2_session_want_read(session) == 0 && nghttp2_session_want_write(session) == 0
    }

    // MARK: Requests

    /// Takes over a request that was sent by HTTP/1.1 with `Upgrade: h2c`, as stream 1 (RFC 7540,
    /// section 3.2); false when its settings are malformed.
    func upgrade(settings: [UInt8], isHead: Bool) -> Bool {
        !hasFailed
            && nghttp2_session_upgrade2(session, settings, settings.count, isHead ? 1 : 0, nil) == 0
    }

    /// Lets the client send as many bytes more, on the stream and on the connection.
    func consume(_ count: Int, _ stream: Int32) { nghttp2_session_consume(session, stream, count) }

    /// As `consume`, for bytes of a stream that is gone.
    func consumeConnection(_ count: Int) { nghttp2_session_consume_connection(session, count) }

    /// Whether the client may send no data on any stream.
    var isWindowShut: Bool { !hasFailed && nghttp2_session_get_local_window_size(session) <= 0 }

    /// Whether the client would take data of an answer on the stream now.
    func hasWindow(_ stream: Int32) -> Bool {
        nghttp2_session_get_stream_remote_window_size(session, stream) > 0
    }

    // MARK: Answers

    /// Sends an answer that is not the last: `100 Continue` or `103 Early Hints`.
    func submitInterim(_ block: HTTP2FieldBlock, _ stream: Int32) {
        block.withFields { fields in
            note(
                nghttp2_submit_headers(
                    session, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream, nil, fields.baseAddress,
                    fields.count, nil))
        }
    }

    /// Sends an answer whose body the stream gives, if it has one; it must live as long as nghttp2's.
    func submit(_ block: HTTP2FieldBlock, _ id: Int32, body stream: HTTP2Stream?) {
        block.withFields { fields in
            var provider = nghttp2_data_provider()
            provider.source.ptr = stream.map { Unmanaged.passUnretained($0).toOpaque() }
            provider.read_callback = readHTTP2Stream
            let result = withUnsafePointer(to: &provider) { provider in
                nghttp2_submit_response(
                    session, id, fields.baseAddress, fields.count, stream == nil ? nil : provider)
            }
            note(result)
            // It would wait for ever.
            if result < 0, !hasFailed { reset(id, NGHTTP2_INTERNAL_ERROR) }
        }
    }

    /// Has the stream asked again.
    func resume(_ stream: Int32) { nghttp2_session_resume_data(session, stream) }

    // MARK: Ends

    func reset(_ stream: Int32, _ code: nghttp2_error_code) {
        nghttp2_submit_rst_stream(
            session, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream, code.rawValue)
    }

    /// Says GOAWAY with a reason and takes nothing more.
    func terminate(_ code: nghttp2_error_code) {
        if !hasFailed { nghttp2_session_terminate_session(session, code.rawValue) }
    }

    /// Says that the end is near, while requests that are under way are still taken.
    func announceEnd() {
        if !hasFailed { nghttp2_submit_shutdown_notice(session) }
    }

    /// Says which request was the last, and takes no more.
    func refuseMore() {
        guard !hasFailed else { return }
        nghttp2_submit_goaway(
            session, UInt8(NGHTTP2_FLAG_NONE.rawValue),
            nghttp2_session_get_last_proc_stream_id(session), NGHTTP2_NO_ERROR.rawValue, nil, 0)
    }
}
