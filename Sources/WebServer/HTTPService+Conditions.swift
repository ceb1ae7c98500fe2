import HTTPWire

/// What a request makes of an answer: nothing new, a part, or what is there (RFC 9110, sections 13
/// and 14), looked at in the order of section 13.2.2.
extension HTTPService {
    func condition(_ response: inout HTTPResponse, for head: RequestHead) {
        let isRead = head.method == .get || head.method == .head
        guard isRead, response.status == 200 else { return }
        if let conditions = Preconditions(head) {
            let there = response.field("etag").map(Preconditions.Representation.tagged) ?? .untagged
            switch conditions.failure(of: there) {
            case .ifMatch:
                response = settings.refusal(412, there.description)
                return
            case .ifNoneMatch:
                // RFC 9110, section 15.4.5: with the fields that 200 would have.
                _ = compression?.choose(for: &response, head)
                response.status = 304
                response.type = nil
                response.body = .bytes([])
                return
            case nil: break
            }
        }
        // Section 14.2: a range is asked for by GET alone.
        guard !response.fields.isEmpty, head.method == .get,
            response.field("accept-ranges") == "bytes",
            let wanted = head.field("range"), isCurrent(response, by: head.field("if-range"))
        else { return }
        cut(&response, to: wanted)
    }

    /// Section 13.1.5; a date names nothing here, since no answer has `Last-Modified`.
    private func isCurrent(_ response: HTTPResponse, by condition: String?) -> Bool {
        guard let condition else { return true }
        guard let tag = response.field("etag") else { return false }
        return EntityTag.isSame(tag, as: condition)
    }

    /// `206`, or `416` when nothing of the content lies in the range.
    private func cut(_ response: inout HTTPResponse, to field: String) {
        guard let length = response.body.length else { return }
        switch ByteRange(field, of: length) {
        case .whole: break
        case .unsatisfiable:
            response = settings.refusal(416, "The content has \(length) bytes.")
            response.fields.append(("Content-Range", "bytes */\(length)"))
        case .part(let range):
            response.status = 206
            response.fields.append(
                ("Content-Range", "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(length)"))
            switch response.body {
            case .bytes(let bytes): response.body = .bytes(Array(bytes[range]))
            case .content(let content): response.body = .content(content.part(range))
            case .stream: break
            }
        }
    }
}
