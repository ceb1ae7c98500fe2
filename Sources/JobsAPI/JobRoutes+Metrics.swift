import HTTPWire
import JobEngine
import Jobs
import Tracing
import WebServer

/// `GET /metrics`: what operators watch.
extension JobRoutes {
    func metrics(_ request: HTTPRequest) async throws -> HTTPResponse {
        var text = PrometheusText()
        try await writeJobs(&text)
        await writePools(&text)
        writeStore(&text)
        writeHTTP(&text)
        writeSpans(&text)
        writeProcess(&text)
        return HTTPResponse(200, type: "text/plain; version=0.0.4; charset=utf-8", text.bytes)
    }

    private func writeJobs(_ text: inout PrometheusText) async throws {
        text.begin("martlet_jobs", .gauge, "Jobs in the store.")
        for count in try await queue.counts() {
            text.value(
                "martlet_jobs", [("queue", count.queue), ("state", count.state.rawValue)],
                count.count)
        }
        let counts = await queue.jobCounts().map { counts -> (PrometheusText.Labels, JobCounts) in
            ([("function", counts.function), ("queue", counts.queue)], counts)
        }
        text.begin("martlet_jobs_submitted_total", .counter, "Jobs submitted.")
        for (labels, of) in counts {
            text.value("martlet_jobs_submitted_total", labels, of.submitted)
        }
        text.begin("martlet_jobs_running", .gauge, "Jobs that run.")
        for (labels, of) in counts { text.value("martlet_jobs_running", labels, of.running) }
        text.begin("martlet_attempts_total", .counter, "Attempts begun.")
        for (labels, of) in counts { text.value("martlet_attempts_total", labels, of.attempts) }
        text.begin("martlet_jobs_ended_total", .counter, "Jobs ended, by how they did.")
        for (labels, of) in counts {
            for state in JobState.allCases where state.isEnd {
                text.value(
                    "martlet_jobs_ended_total", labels + [("state", state.rawValue)],
                    of.ended[state] ?? 0)
            }
        }
        text.begin(
            "martlet_job_waiting_seconds", .histogram,
            "From when an attempt might begin to its start.")
        for (labels, of) in counts {
            text.histogram("martlet_job_waiting_seconds", labels, of.waiting)
        }
        text.begin("martlet_job_run_seconds", .histogram, "Time of an attempt.")
        for (labels, of) in counts { text.histogram("martlet_job_run_seconds", labels, of.run) }
        text.begin("martlet_job_seconds", .histogram, "From a job's submission to its end.")
        for (labels, of) in counts { text.histogram("martlet_job_seconds", labels, of.whole) }
        text.single(
            "martlet_event_streams", .gauge, "Streams of events open.", queue.eventStreams)
    }

    private func writePools(_ text: inout PrometheusText) async {
        let pools = await queue.poolStatus()
        func write(_ name: String, _ help: String, _ value: (PoolStatus) -> Int) {
            text.begin(name, .gauge, help)
            for pool in pools { text.value(name, [("pool", pool.kind.rawValue)], value(pool)) }
        }
        write("martlet_pool_slots", "Calls that the pool runs at once.", \.slots)
        write("martlet_pool_running", "Calls that run or wait in a worker.", \.running)
        write("martlet_pool_workers", "Worker processes or threads alive.", \.workers)
    }

    private func writeStore(_ text: inout PrometheusText) {
        let store = queue.storeStatistics
        text.begin(
            "martlet_store_commit_seconds", .histogram,
            "Time of a transaction with its sync to the disk.")
        text.histogram("martlet_store_commit_seconds", [], store.commitSeconds)
        text.begin("martlet_store_commit_changes", .histogram, "Changes in a transaction.")
        text.histogram("martlet_store_commit_changes", [], store.commitChanges)
        text.single(
            "martlet_store_failed_changes_total", .counter, "Changes that the store refused.",
            store.failedChanges)
        text.single(
            "martlet_store_bytes", .gauge, "Size of the store's files with its log.", store.bytes)
    }

    private func writeHTTP(_ text: inout PrometheusText) {
        text.begin(
            "martlet_http_requests_total", .counter, "Requests answered, by route and status.")
        for answer in http.answers {
            text.value(
                "martlet_http_requests_total",
                [
                    ("method", answer.method ?? ""), ("route", answer.path ?? ""),
                    ("status", String(answer.status)),
                ], answer.count)
        }
        let name = "martlet_http_request_seconds"
        text.begin(
            name, .histogram, "From a request's head to the end of its answer, by route.")
        for route in http.durations {
            text.histogram(
                name, [("method", route.method ?? ""), ("route", route.path ?? "")],
                bounds: RouteDuration.bounds, counts: route.counts, sum: route.seconds)
        }
        guard let statistics = http.statistics else { return }
        text.single(
            "martlet_http_connections", .gauge, "Connections open.", statistics.open)
        text.single(
            "martlet_http_connections_accepted_total", .counter, "Connections accepted.",
            statistics[.connectionsAccepted])
        text.single(
            "martlet_http_received_bytes_total", .counter, "Bytes received.",
            statistics[.bytesReceived])
        text.single(
            "martlet_http_sent_bytes_total", .counter, "Bytes sent.", statistics[.bytesSent])
        text.single(
            "martlet_http_held_bytes", .gauge,
            "Held for clients: answers not taken, bodies not whole, coders.",
            statistics[.heldBytes])
        text.begin(
            "martlet_http_limits_total", .counter,
            "Requests and connections that a limit or an error ended or held up, by which.")
        for (name, counter) in Self.limits {
            text.value("martlet_http_limits_total", [("limit", name)], statistics[counter])
        }
        text.single(
            "martlet_access_log_dropped_total", .counter,
            "Lines of the access log lost for want of room, or refused by its file.",
            statistics.droppedLogLines)
    }

    private static let limits: [(String, HTTPServerStatistics.Counter)] = [
        ("connections", .limitConnections),
        ("connections_per_address", .limitConnectionsPerAddress),
        ("descriptors", .limitDescriptors), ("request_line", .limitRequestLine),
        ("head", .limitHead), ("body", .limitBody), ("malformed", .malformed),
        ("head_time", .limitHeadTime), ("body_rate", .limitBodyRate),
        ("body_time", .limitBodyTime), ("idle_time", .limitIdleTime),
        ("idle_for_room", .idleForRoom),
        ("write_time", .limitWriteTime), ("held_bytes", .limitHeldBytes),
        ("pipelined_bytes", .limitPipelinedBytes), ("streams", .limitStreams),
        ("coders", .limitCoders), ("http2_error", .http2Errors),
        ("handshake", .handshakeFailures), ("hang_up", .hangUps),
    ]

    /// Only of a server that makes spans.
    private func writeSpans(_ text: inout PrometheusText) {
        guard let spans = tracer?.statistics else { return }
        text.single(
            "martlet_spans_exported_total", .counter, "Spans that the collector took.",
            spans.exported)
        text.single(
            "martlet_spans_dropped_total", .counter,
            "Spans lost for want of room, or refused by the collector.", spans.dropped)
    }

    private func writeProcess(_ text: inout PrometheusText) {
        let process = ProcessStatistics.current()
        text.single(
            "process_cpu_seconds_total", .counter, "CPU time, user and system.",
            process.cpuSeconds)
        text.single(
            "process_resident_memory_bytes", .gauge, "Memory resident.", process.residentBytes)
        text.single(
            "process_virtual_memory_bytes", .gauge, "Memory mapped.", process.virtualBytes)
        text.single(
            "process_open_fds", .gauge, "Descriptors open.", process.openDescriptors)
        text.single(
            "process_max_fds", .gauge, "Descriptors that may be open.", process.mostDescriptors)
        text.single(
            "process_start_time_seconds", .gauge, "When the process began, since 1970.",
            process.startTime)
        text.single("process_threads", .gauge, "Threads.", process.threads)
    }
}
