import CNghttp2

/// Whom the session that is at work tells.
private func events(_ user: UnsafeMutableRawPointer?) -> any HTTP2SessionEvents {
    // nghttp2 calls back only while the session, which owns it, is at work.
    guard let user,
        let events = Unmanaged<HTTP2Session>.fromOpaque(user).takeUnretainedValue().events
    else { preconditionFailure("a callback without its session") }
    return events
}

/// Asks a stream for the next bytes of its answer.
let readHTTP2Stream: nghttp2_data_source_read_callback = {
    _, _, buffer, length, flags, source, _ in
    guard let pointer = source?.pointee.ptr, let flags else { return 0 }
    let stream = Unmanaged<HTTP2Stream>.fromOpaque(pointer).takeUnretainedValue()
    switch stream.read(into: UnsafeMutableRawBufferPointer(start: buffer, count: length)) {
    case .later: return Int(NGHTTP2_ERR_DEFERRED.rawValue)
    case .bytes(let count, let isLast):
        if isLast { flags.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue }
        return count
    }
}

/// Has nghttp2 tell a session's events.
func setHTTP2Callbacks(_ callbacks: OpaquePointer?) {
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, frameBegins)
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, headBegins)
    nghttp2_session_callbacks_set_on_header_callback(callbacks, fieldCame)
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, user in
        if let frame { received(frame.pointee, events(user)) }
        return 0
    }
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) {
        _, _, stream, data, length, user in
        events(user).data(UnsafeBufferPointer(start: data, count: length), stream)
        return 0
    }
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) { _, stream, _, user in
        events(user).streamClosed(stream)
        return 0
    }
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks) { _, frame, user in
        if let frame { sent(frame.pointee, events(user)) }
        return 0
    }
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks) { _, frame, _, user in
        events(user).frameWasInvalid(frame?.pointee.hd.stream_id ?? 0)
        return 0
    }
}

private let frameBegins: nghttp2_on_begin_frame_callback = { session, header, user in
    guard let header else { return 0 }
    let (type, stream) = (header.pointee.type, header.pointee.stream_id)
    if let code = events(user).frameBegins(type: type, stream: stream) {
        nghttp2_session_terminate_session(session, code)
    }
    return 0
}

private let headBegins: nghttp2_on_begin_headers_callback = { _, frame, user in
    guard let frame else { return 0 }
    if frame.pointee.headers.cat == NGHTTP2_HCAT_REQUEST {
        events(user).headBegins(frame.pointee.hd.stream_id)
    } else {
        events(user).trailerBegins()
    }
    return 0
}

private let fieldCame: nghttp2_on_header_callback = {
    session, frame, name, nameLength, value, valueLength, _, user in
    guard let frame else { return 0 }
    let isBorne = events(user).field(
        UnsafeBufferPointer(start: name, count: nameLength).span,
        UnsafeBufferPointer(start: value, count: valueLength).span,
        isTrailer: frame.pointee.headers.cat != NGHTTP2_HCAT_REQUEST)
    guard !isBorne else { return 0 }
    nghttp2_session_terminate_session(session, NGHTTP2_ENHANCE_YOUR_CALM.rawValue)
    // The rest of the block is not called for; what follows it is not read.
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue
}

private func sent(_ frame: nghttp2_frame, _ events: any HTTP2SessionEvents) {
    switch UInt32(frame.hd.type) {
    case NGHTTP2_RST_STREAM.rawValue where mistakes.contains(frame.rst_stream.error_code):
        events.errorLeft(frame.hd.stream_id)
    case NGHTTP2_GOAWAY.rawValue where frame.goaway.error_code != NGHTTP2_NO_ERROR.rawValue:
        events.errorLeft(0)
    case _ where endsStream(frame.hd): events.answerLeft(frame.hd.stream_id)
    default: break
    }
}

/// What nghttp2 resets a stream for; the server itself has other reasons.
private let mistakes = [
    NGHTTP2_PROTOCOL_ERROR.rawValue, NGHTTP2_FLOW_CONTROL_ERROR.rawValue,
    NGHTTP2_STREAM_CLOSED.rawValue,
]

private func received(_ frame: nghttp2_frame, _ events: any HTTP2SessionEvents) {
    switch UInt32(frame.hd.type) {
    case NGHTTP2_HEADERS.rawValue where frame.headers.cat == NGHTTP2_HCAT_REQUEST:
        events.headIsComplete(frame.hd.stream_id, endsStream: endsStream(frame.hd))
    case NGHTTP2_HEADERS.rawValue, NGHTTP2_DATA.rawValue:
        if endsStream(frame.hd) { events.bodyIsComplete(frame.hd.stream_id) }
    default: break
    }
}

/// Whether nothing follows on the stream.
///
/// In SETTINGS and PING the flag's bit means something else.
private func endsStream(_ header: nghttp2_frame_hd) -> Bool {
    let type = UInt32(header.type)
    return (type == NGHTTP2_HEADERS.rawValue || type == NGHTTP2_DATA.rawValue)
        && UInt32(header.flags) & NGHTTP2_FLAG_END_STREAM.rawValue != 0
}
