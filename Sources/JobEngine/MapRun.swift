import Jobs
import RawJSON
import Sockets

/// One attempt at a map job: gives its items to the pool chunk by chunk and keeps the results.
actor MapRun {
    private let job: Job
    private let function: Function
    private let timeout: Double?
    private let dispatcher: Dispatcher
    private let loop: EventLoop
    private let items: MapItems
    private let uploads: OpenUploads
    /// Whether more items may come than are known.
    private var isUploading: Bool
    private var looking: Task<Void, Never>?
    private var planner: ChunkPlanner
    /// Chunks under way at once: some more than the pool has slots, so that no worker waits for
    /// its next one, unless the job bounds its concurrency.
    private let flights: Int
    private var unsaved: [ItemSegment] = []
    private var unsavedBytes = 0
    /// Writes what has come in, a moment later.
    private var saveTimer: LoopTimer?
    /// Whether somebody waited for results when the last ones were written: it is likely that they
    /// come back for more.
    private var wasWatched = false
    private var saving: Task<Void, Never>?
    private var done: Int
    private var failed = 0
    private var running = 0
    /// Why no more chunks are begun.
    private var stopped: Failure?

    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    /// Bytes of results that are kept in memory before they are written.
    private static let unsavedLimit = 512 << 10
    /// How long they are kept, and how long when somebody reads along.
    private static let unsavedTime = Duration.milliseconds(200)
    private static let watchedTime = Duration.milliseconds(25)

    init(
        job: Job, function: Function, timeout: Double?, slots: Int, ended: [Range<Int>],
        itemSeconds: Double?, dispatcher: Dispatcher, store: any JobStore, uploads: OpenUploads,
        loop: EventLoop,
    ) {
        self.job = job
        self.function = function
        self.timeout = timeout
        self.dispatcher = dispatcher
        self.uploads = uploads
        self.loop = loop
        items = MapItems(of: job, store: store, loop: loop)
        isUploading = uploads.isOpen(job.id)
        let slots = max(1, slots / job.cpus)
        let wanted = job.submission.concurrency ?? slots
        // As joblib counts: -1 is all slots, -2 all but one.
        let allowed = wanted > 0 ? min(wanted, slots) : slots + 1 + wanted
        let width = max(1, isUploading ? allowed : min(allowed, job.itemCount ?? 0))
        flights = width < slots ? width : min(slots * 8, slots + 32)
        planner = ChunkPlanner(
            done: ended, size: job.submission.chunk, width: width, itemSeconds: itemSeconds)
        done = ended.reduce(0) { $0 + $1.count }
    }

    /// The job as the attempt leaves it, and results not written yet.
    struct Ending: Sendable {
        var failure: Failure?
        var done: Int
        var failed: Int
        var segments: [ItemSegment]
    }

    /// Runs all items; the caller has a place in the pool for the first chunk.
    func run() async -> Ending {
        await lookForItems()
        let flights = self.flights
        await withTaskGroup { group in
            for number in 0..<flights {
                group.addTask(name: nil, executorPreference: loop) {
                    await self.worker(hasPlace: number == 0)
                }
            }
        }
        let rest = takeUnsaved()
        await saving?.value
        if let seconds = planner.itemSeconds {
            await dispatcher.noteItemSeconds(seconds, of: function.name)
        }
        return Ending(failure: stopped, done: done, failed: failed, segments: rest)
    }

    /// Takes chunks one after the other until there is none left.
    private func worker(hasPlace: Bool) async {
        var hasPlace = hasPlace
        while true {
            guard goesOn, planner.left > 0 else {
                if hasPlace { await dispatcher.giveBackPlace(of: job, function) }
                hasPlace = false
                guard await waitForItems() else { return }
                continue
            }
            if !hasPlace { await dispatcher.place(for: job) }
            hasPlace = true
            guard goesOn, let chunk = planner.next() else { continue }
            do throws(StoreError) {
                let part = try await items.items(chunk)
                hasPlace = false
                await run(chunk, part)
            } catch {
                stop(.unreadable(error))
            }
        }
    }

    /// Whether chunks are still wanted.
    private var goesOn: Bool {
        if Task.isCancelled { stop(.cancelled) }
        return stopped == nil
    }

    /// Begins no more chunks.
    private func stop(_ failure: Failure) {
        guard stopped == nil else { return }
        stopped = failure
        uploads.wake(job.id)
    }

    // MARK: Items that are still to come

    /// Waits for more items of an upload; false when there will be none, or none are wanted.
    private func waitForItems() async -> Bool {
        guard goesOn, isUploading else { return false }
        await uploads.wait(for: job.id, past: items.count)
        await lookForItems()
        return goesOn
    }

    private func lookForItems() async {
        if let looking { return await looking.value }
        // A task of its own: all that wait for items wait for one reading.
        let reading = Task(executorPreference: loop) { await self.readRanges() }
        looking = reading
        await reading.value
    }

    private func readRanges() async {
        // Before the look at what there is: what comes after it is looked for later.
        let mayGrow = uploads.isOpen(job.id)
        do throws(StoreError) {
            planner.add(try await items.readRanges())
        } catch {
            stop(.unreadable(error))
        }
        isUploading = mayGrow
        looking = nil
    }

    // MARK: Chunks

    private func run(_ chunk: Range<Int>, _ part: ArraySlice<UInt8>) async {
        var call = Call(
            function: function,
            payload: .items(
                part, count: chunk.count, spread: items.spread, onError: job.submission.onError),
            timeout: timeout)
        call.cpus = job.cpus
        call.limits = job.submission.limits.or(function.limits)
        call.source = dispatcher.source(of: job)
        running += chunk.count
        let outcome = await dispatcher.run(call, in: job.pool)
        running -= chunk.count
        switch outcome.value {
        case .items(let results, let count, let failures):
            planner.note(chunk.count, seconds: outcome.seconds)
            await keep(chunk, results: results, count: count, failures: failures)
        case .failure(let failure):
            await judge(failure, of: chunk)
        case .result:
            stop(
                Failure(
                    .exception, type: "ProtocolError", message: "A chunk was answered as one call.")
            )
        }
    }

    private func judge(_ failure: Failure, of chunk: Range<Int>) async {
        switch failure.reason {
        case .cancelled, .lost, .unavailable: stop(failure)
        case .exception, .timeout, .signal, .outOfMemory, .exit, .limit:
            if chunk.count > 1 { return planner.runSingly(chunk) }
            var failure = failure
            failure.index = 0
            let isStop = job.submission.onError == .stop
            await keep(
                chunk, results: isStop ? [] : RawJSON.null.bytes, count: isStop ? 0 : 1,
                failures: [failure])
        }
    }

    private func keep(
        _ chunk: Range<Int>, results: ArraySlice<UInt8>, count: Int, failures: [Failure],
    ) async {
        let placed = failures.map { failure in
            var placed = failure
            placed.index = chunk.lowerBound + (failure.index ?? 0)
            return placed
        }
        if job.submission.onError == .stop, let first = placed.first { stop(first) }
        failed += placed.count
        done += count
        add(
            ItemSegment(
                first: chunk.lowerBound, count: count, results: Array(results),
                failures: job.submission.onError == .stop ? [] : placed))
        await dispatcher.progress(of: job.id, done: done, failed: failed, running: running)
        if unsavedBytes > Self.unsavedLimit {
            await dispatcher.save(takeUnsaved(), of: job.id)
        } else if saveTimer == nil {
            let isWatched = wasWatched || dispatcher.isWatched(job.id)
            saveTimer = loop.schedule(after: isWatched ? Self.watchedTime : Self.unsavedTime) {
                self.assumeIsolated { $0.saveInTime() }
            }
        }
    }

    private func saveInTime() {
        wasWatched = dispatcher.isWatched(job.id)
        let before = saving
        let segments = takeUnsaved()
        // A task of its own: a timer cannot wait. The run waits for it before it ends.
        saving = Task(executorPreference: loop) {
            await before?.value
            await self.dispatcher.save(segments, of: self.job.id)
        }
    }

    /// Adds results, to those of the items just before them if these are at hand.
    private func add(_ segment: ItemSegment) {
        guard segment.count > 0 else { return }
        unsavedBytes += segment.results.count
        if let last = unsaved.indices.last, unsaved[last].end == segment.first {
            unsaved[last].append(segment)
        } else {
            unsaved.append(segment)
        }
    }

    /// What is to be written, neighbours joined.
    private func takeUnsaved() -> [ItemSegment] {
        var joined: [ItemSegment] = []
        for segment in unsaved.sorted(by: { $0.first < $1.first }) {
            if let last = joined.indices.last, joined[last].end == segment.first {
                joined[last].append(segment)
            } else {
                joined.append(segment)
            }
        }
        unsaved = []
        unsavedBytes = 0
        saveTimer?.cancel()
        saveTimer = nil
        return joined
    }
}

extension Failure {
    static func unreadable(_ error: StoreError) -> Failure {
        Failure(
            .unavailable, type: "StoreError", message: "The items cannot be read: \(error)")
    }
}
