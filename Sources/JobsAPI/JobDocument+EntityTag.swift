import Jobs
import RawJSON
import WebServer

extension JobDocument {
    /// Of a job's document, which is `body`: another one whenever anything in it is another, progress
    /// too.
    ///
    /// Of a long document the result and the failed attempts are not read: they come with a new state
    /// or attempt, and a result that is gone is told apart.
    static func entityTag(of job: Job, as body: HTTPResponse.Body) -> String {
        if case .bytes(let bytes) = body, bytes.count <= 2 << 10 { return tag(bytes) }
        var writer = JSONWriter(capacity: 512)
        write(job, to: &writer, withResult: false)
        writer.append(number: job.result == nil && job.unreadResultBytes == nil ? "0" : "1")
        return tag(writer.bytes)
    }

    private static func tag(_ bytes: [UInt8]) -> String {
        // FNV-1a, the same after a restart of the server.
        let hash = bytes.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { hash, byte in
            (hash ^ UInt64(byte)) &* 0x100_0000_01b3
        }
        return "\"\(String(hash, radix: 36))\""
    }
}
