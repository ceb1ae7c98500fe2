package import Jobs
import RawJSON
import Synchronization
package import Threads

/// Jobs in memory, for tests: what `SQLiteJobStore` promises, but nothing survives the process.
package final class MemoryJobStore: JobStore {
    private struct Contents {
        var jobs: [JobID: Job] = [:]
        /// In the order of writing.
        var items: [JobID: [ItemSegment]] = [:]
        var logs: [JobID: [[UInt8]]] = [:]
        var batches: [String: (batch: BatchKey, ids: [JobID])] = [:]
        var pieces: [JobID: [ItemPiece]] = [:]
        var uploads: Set<JobID> = []

        func twin(of job: Job, _ isStopping: (JobID) -> Bool) -> (Job, Likeness)? {
            let keyed = jobs.values.first {
                $0.idempotencyKey != nil && $0.idempotencyKey == job.idempotencyKey
                    && $0.createdAt > job.createdAt.adding(seconds: -JobStoreDefaults.keySeconds)
            }
            if let keyed { return (keyed, .idempotencyKey) }
            if let key = job.keys.cache, let seconds = job.submission.cache {
                let cached = jobs.values.filter {
                    $0.keys.cache == key && $0.state == .succeeded
                        && $0.endedAt.map { $0 >= job.createdAt.adding(seconds: -seconds) } ?? false
                        && $0.expiresAt.map { $0 > job.createdAt } ?? false
                }.max { $0.endedAt ?? $0.createdAt < $1.endedAt ?? $1.createdAt }
                if let cached { return (cached, .cache) }
            }
            guard let key = job.keys.unique else { return nil }
            return jobs.values.first {
                $0.keys.unique == key && ($0.state == .queued || $0.state == .running)
                    && !isStopping($0.id)
            }.map { ($0, .unique) }
        }

        mutating func save(_ segments: [ItemSegment], of id: JobID) {
            for segment in segments {
                items[id, default: []].removeAll { $0.first == segment.first }
                items[id, default: []].append(segment)
            }
        }

        func segments(_ id: JobID) -> [ItemSegment] {
            (items[id] ?? []).sorted { $0.first < $1.first }
        }
    }

    private let contents = Mutex(Contents())

    package init() {}

    // MARK: Changes

    package func insert(
        _ jobs: [Job], batch: BatchKey?, leavingOut isStopping: @escaping @Sendable (JobID) -> Bool,
        durable: @escaping @Sendable ([InsertOutcome]) -> Void,
    ) async throws(StoreError) -> [InsertOutcome] {
        let outcomes: [InsertOutcome]? = contents.withLock { contents in
            if let batch, let (earlier, ids) = contents.batches[batch.key] {
                return earlier == batch ? ids.map { .repeated($0) } : jobs.map { _ in .keyReused }
            }
            if let batch, contents.jobs.values.contains(where: { $0.idempotencyKey == batch.key }) {
                return jobs.map { _ in .keyReused }
            }
            let before = contents.jobs
            var outcomes: [InsertOutcome] = []
            for job in jobs {
                if let (twin, likeness) = contents.twin(of: job, isStopping) {
                    outcomes.append(.existing(twin, likeness))
                } else if let key = job.idempotencyKey, contents.batches[key] != nil {
                    outcomes.append(.keyReused)
                } else if contents.jobs.updateValue(job, forKey: job.id) == nil {
                    outcomes.append(.stored)
                } else {
                    contents.jobs = before
                    return nil
                }
            }
            if let batch {
                let ids = zip(jobs, outcomes).map { job, outcome in
                    if case .existing(let twin, _) = outcome { twin.id } else { job.id }
                }
                contents.batches[batch.key] = (batch, ids)
            }
            for (job, outcome) in zip(jobs, outcomes) where outcome.isStored {
                contents.jobs[job.id] = job.withoutPieces
                contents.pieces[job.id] = job.pieces
                if job.isUploading { contents.uploads.insert(job.id) }
            }
            return outcomes
        }
        guard let outcomes else { throw .failed("an id is there already") }
        durable(outcomes)
        return outcomes
    }

    package func noteStarted(_ id: JobID, attempt: Int, at time: Timestamp) {
        contents.withLock { contents in
            guard var job = contents.jobs[id], job.state == .queued, job.attempt < attempt,
                job.startedAt != time
            else { return }
            job.state = .running
            job.attempt = attempt
            job.startedAt = time
            contents.jobs[id] = job
        }
    }

    package func saveItems(_ id: JobID, _ segments: [ItemSegment]) async throws(StoreError) {
        contents.withLock { contents in
            if contents.jobs[id] != nil { contents.save(segments, of: id) }
        }
    }

    package func update(_ job: Job, adding segments: [ItemSegment]) async throws(StoreError) {
        contents.withLock { contents in
            guard contents.jobs[job.id] != nil else { return }
            let count = contents.jobs[job.id]?.submission.work.itemCount
            contents.jobs[job.id] = job
            if let count { contents.jobs[job.id]?.submission.setItemCount(count) }
            contents.save(segments, of: job.id)
        }
    }

    package func dropItems(_ id: JobID, onlyFailed: Bool) async throws(StoreError) {
        contents.withLock { contents in
            contents.items[id] = contents.items[id]?.flatMap { segment in
                !onlyFailed ? [] : segment.failures.isEmpty ? [segment] : segment.withoutFailed()
            }
        }
    }

    package func delete(_ id: JobID) async throws(StoreError) -> Bool {
        contents.withLock { contents in
            contents.items[id] = nil
            contents.logs[id] = nil
            contents.pieces[id] = nil
            contents.uploads.remove(id)
            return contents.jobs.removeValue(forKey: id) != nil
        }
    }

    package func recover(
        at time: Timestamp, keepSeconds: Double,
    ) async throws(StoreError) -> RecoveryReport {
        contents.withLock { contents in
            var requeued = 0
            for (id, job) in contents.jobs {
                switch job.state {
                case .running:
                    contents.jobs[id]?.state = .queued
                    requeued += 1
                case .cancelling:
                    contents.jobs[id]?.state = .cancelled
                    contents.jobs[id]?.endedAt = time
                    contents.jobs[id]?.failure = Failure.cancelled
                    contents.jobs[id]?.expiresAt = time.adding(
                        seconds: job.submission.keep ?? keepSeconds)
                case .queued, .succeeded, .failed, .cancelled: break
                }
            }
            return RecoveryReport(
                requeued: requeued,
                lastSequence: contents.jobs.keys.map(\.sequence).max() ?? 0)
        }
    }

    package func prune(
        expiredBefore time: Timestamp, forgottenBefore: Timestamp,
    ) async throws(StoreError) {
        contents.withLock { contents in
            for (id, job) in contents.jobs {
                guard let expiry = job.expiresAt else { continue }
                if expiry < forgottenBefore { contents.jobs[id] = nil }
                if expiry < time {
                    contents.jobs[id]?.result = nil
                    contents.items[id] = nil
                }
            }
        }
    }

    // MARK: Items of large maps

    package func appendItems(
        _ piece: ItemPiece, to id: JobID,
    ) async throws(StoreError) -> Bool {
        contents.withLock { contents in
            guard contents.jobs[id] != nil else { return false }
            contents.jobs[id]?.submission.setItemCount(piece.range.upperBound)
            contents.pieces[id, default: []].append(piece)
            return true
        }
    }

    package func endUpload(_ id: JobID) async throws(StoreError) {
        contents.withLock { _ = $0.uploads.remove(id) }
    }

    package func unfinishedUploads() async throws(StoreError) -> [JobID] {
        contents.withLock { Array($0.uploads) }
    }

    package func pieceRanges(
        _ id: JobID, from first: Int,
    ) async throws(StoreError) -> [Range<Int>] {
        contents.withLock { contents in
            (contents.pieces[id] ?? []).map(\.range).filter { $0.lowerBound >= first }
        }
    }

    package func piece(_ id: JobID, at first: Int) async throws(StoreError) -> ItemPiece? {
        contents.withLock { contents in contents.pieces[id]?.first { $0.first == first } }
    }

    // MARK: Logs

    package func appendLog(
        _ id: JobID, _ text: [UInt8], limit: Int, saved: @escaping @Sendable () -> Void,
    ) {
        contents.withLock { contents in
            let size = contents.logs[id]?.reduce(0) { $0 + $1.count } ?? 0
            if contents.jobs[id] != nil, size < limit {
                contents.logs[id, default: []].append(text)
            }
        }
        saved()
    }

    package func log(
        _ id: JobID, after cursor: Int64, maxBytes: Int,
    ) async throws(StoreError) -> LogPage {
        contents.withLock { contents in
            var page = LogPage(text: [], next: cursor)
            for (place, text) in (contents.logs[id] ?? []).enumerated().dropFirst(Int(cursor)) {
                guard page.text.isEmpty || page.text.count < maxBytes else { break }
                page.text += text
                page.next = Int64(place + 1)
            }
            return page
        }
    }

    // MARK: Reading

    package func job(_ id: JobID) async throws(StoreError) -> Job? {
        contents.withLock { $0.jobs[id] }
    }

    package func summary(
        of id: JobID, resultUpTo maxBytes: Int,
    ) async throws(StoreError) -> Job? {
        var job = contents.withLock { $0.jobs[id] }
        if let size = job?.result?.bytes.count, size > maxBytes {
            job?.result = nil
            job?.unreadResultBytes = size
        }
        return job
    }

    package func result(
        of id: JobID, endedAt: Timestamp, from offset: Int, maxBytes: Int,
    ) async throws(StoreError) -> [UInt8]? {
        let job = contents.withLock { $0.jobs[id] }
        guard let job, job.endedAt == endedAt, let result = job.result else { return nil }
        return Array(result.bytes.dropFirst(offset).prefix(maxBytes))
    }

    package func resultFile(
        of id: JobID, endedAt: Timestamp,
    ) async throws(StoreError) -> OpenFile? { nil }

    package func submission(
        of id: JobID, from offset: Int, maxBytes: Int,
    ) async throws(StoreError) -> SubmissionPart? {
        contents.withLock { $0.jobs[id] }.map { job in
            let document = job.submission.document.bytes
            return SubmissionPart(
                bytes: Array(document.dropFirst(offset).prefix(maxBytes)), of: document.count)
        }
    }

    package func items(
        _ id: JobID, _ cursor: ItemCursor, onlyFailed: Bool, maxBytes: Int,
    ) async throws(StoreError) -> ItemPage {
        contents.withLock { contents in
            let written = contents.items[id] ?? []
            var page = ItemPage(segments: [], next: cursor)
            var size = 0
            func take(_ segment: ItemSegment, next: ItemCursor) -> Bool {
                guard page.segments.isEmpty || size < maxBytes else { return false }
                guard !onlyFailed || !segment.failures.isEmpty else { return true }
                size += segment.results.count
                page.segments.append(segment)
                page.next = next
                return true
            }
            switch cursor {
            case .index(let first):
                for segment in contents.segments(id) where segment.end > first {
                    guard take(segment, next: .index(segment.end)) else { break }
                }
            case .written(let after):
                for (place, segment) in written.enumerated().dropFirst(Int(after)) {
                    guard take(segment, next: .written(after: Int64(place + 1))) else { break }
                }
            }
            return page
        }
    }

    package func itemRanges(_ id: JobID) async throws(StoreError) -> [Range<Int>] {
        contents.withLock { $0.segments(id).map { $0.first..<$0.first + $0.count } }
    }

    package func list(_ query: JobQuery) async throws(StoreError) -> [Job] {
        contents.withLock { contents in
            let found = contents.jobs.values.filter { job in
                (query.state == nil || job.state == query.state)
                    && (query.function == nil || job.submission.function == query.function)
                    && (query.queue == nil || job.submission.queue ?? "default" == query.queue)
                    && query.tag.map(job.submission.tags.contains) ?? true
                    && query.search.map { job.isFound(by: $0, besideTag: query.tag) } ?? true
                    && query.before.map { job.id < $0 } ?? true
            }
            return found.sorted { $0.id > $1.id }.prefix(query.limit).map { job in
                var job = job
                job.result = nil
                return job
            }
        }
    }

    package func queued(
        in pool: PoolKind, dueAt time: Timestamp, limit: Int, maxBytes: Int,
        leavingOutFunctions isAbsent: @escaping @Sendable (String) -> Bool,
        leavingOut isKnown: @escaping @Sendable (JobID) -> Bool,
    ) async throws(StoreError) -> [Job] {
        contents.withLock { contents in
            let waiting = contents.jobs.values
                .filter { !isKnown($0.id) && !isAbsent($0.submission.function) }
                .filter { $0.state == .queued && $0.pool == pool && $0.notBefore ?? time <= time }
                .sorted {
                    ($1.submission.priority, $0.id) < ($0.submission.priority, $1.id)
                }
                .prefix(limit)
            var bytes = 0
            return waiting.enumerated().prefix { place, job in
                bytes += job.submission.document.bytes.count
                return place == 0 || bytes <= maxBytes
            }.map(\.element)
        }
    }

    package func nextDue(after time: Timestamp) async throws(StoreError) -> Timestamp? {
        contents.withLock { contents in
            contents.jobs.values.filter { $0.state == .queued }.compactMap(\.notBefore)
                .filter { $0 > time }.min()
        }
    }

    package func counts() async throws(StoreError) -> [QueueCount] {
        contents.withLock { contents in
            Dictionary(grouping: contents.jobs.values) { $0.submission.queue ?? "default" }
                .flatMap { queue, jobs in
                    Dictionary(grouping: jobs, by: \.state).map { state, jobs in
                        QueueCount(queue: queue, state: state, count: jobs.count)
                    }
                }
                .sorted { ($0.queue, $0.state.rawValue) < ($1.queue, $1.state.rawValue) }
        }
    }
}

extension Job {
    fileprivate func isFound(by text: String, besideTag tag: String?) -> Bool {
        id.description.hasPrefix(text.lowercased()) || submission.function.hasPrefix(text)
            || tag == nil && submission.tags.contains(text)
    }
}
