import Functions
import JobEngine
import Jobs
import RawJSON
import WebServer

/// What the server offers and how loaded it is.
extension JobRoutes {
    func functions(_ request: HTTPRequest) async throws -> HTTPResponse {
        var writer = JSONWriter(capacity: 4096)
        writer.beginObject()
        writer.key("functions")
        writer.beginArray()
        for function in queue.catalogue.functions { JobDocument.write(function, to: &writer) }
        writer.endArray()
        writer.key("broken")
        writer.beginArray()
        for broken in queue.catalogue.broken {
            writer.beginObject()
            writer.member("file", broken.file)
            writer.member("error", broken.error)
            if let traceback = broken.traceback { writer.member("traceback", traceback) }
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        return .json(200, writer.bytes)
    }

    func function(_ request: HTTPRequest) async throws -> HTTPResponse {
        let name = request.parameters["name"] ?? ""
        guard let function = queue.catalogue.function(named: name) else {
            if let reading = queue.catalogue.reading {
                throw Problem(
                    functionsNotRead: "There is no function \"\(name)\" yet. \(reading)")
            }
            throw Problem(
                404, "no-such-function", "No such function",
                "There is no function \"\(name)\". GET /v1/functions lists them.")
        }
        var writer = JSONWriter(capacity: 512)
        JobDocument.write(function, to: &writer)
        return .json(200, writer.bytes)
    }

    func pools(_ request: HTTPRequest) async throws -> HTTPResponse {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("pools")
        writer.beginArray()
        for status in await queue.poolStatus() {
            writer.beginObject()
            writer.member("name", status.kind.rawValue)
            writer.member("slots", status.slots)
            writer.member("running", status.running)
            writer.member("workers", status.workers)
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        return .json(200, writer.bytes)
    }

    func queues(_ request: HTTPRequest) async throws -> HTTPResponse {
        var byQueue: [(name: String, counts: [QueueCount])] = []
        for count in try await queue.counts() {
            if byQueue.last?.name != count.queue { byQueue.append((count.queue, [])) }
            byQueue[byQueue.count - 1].counts.append(count)
        }
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("queues")
        writer.beginArray()
        for (name, counts) in byQueue {
            writer.beginObject()
            writer.member("name", name)
            for count in counts {
                writer.key(named: count.state.rawValue)
                writer.value(count.count)
            }
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        return .json(200, writer.bytes)
    }
}
