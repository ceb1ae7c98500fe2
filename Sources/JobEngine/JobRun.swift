import Jobs
import RawJSON

/// One attempt at a job, from its start to what is written of it.
///
/// All of it runs as the dispatcher does, so that no step waits for a change of executors.
struct JobRun {
    let job: Job
    /// nil when the function is not there any more, and is not to come again.
    let function: Function?

    func run(on dispatcher: isolated Dispatcher) async {
        var job = begun()
        dispatcher.begun(job, of: function, due: self.job.notBefore)
        var segments: [ItemSegment] = []
        guard let function else {
            job.failure = Failure(
                .unavailable, type: "LookupError",
                message: "There is no function \"\(job.functionName)\" any more.")
            return await end(&job, segments, on: dispatcher)
        }
        let submission = job.submission
        let timeout = submission.timeout ?? function.timeout
        switch submission.work {
        case .call(let arguments):
            var call = Call(function: function, payload: .arguments(arguments), timeout: timeout)
            call.cpus = job.cpus
            call.limits = submission.limits.or(function.limits)
            call.source = dispatcher.source(of: job)
            judge(await dispatcher.run(call, in: job.pool), &job)
        case .map:
            let ending = await dispatcher.mapRun(job, function, timeout: timeout).run()
            job.failure = ending.failure
            job.itemsDone = ending.done
            job.itemsFailed = ending.failed
            segments = ending.segments
        }
        await end(&job, segments, on: dispatcher)
    }

    private func begun() -> Job {
        var job = job
        job.state = .running
        job.attempt += 1
        job.startedAt = .now()
        job.notBefore = nil
        job.failure = nil
        return job
    }

    private func judge(_ outcome: CallOutcome, _ job: inout Job) {
        switch outcome.value {
        case .result(let result): job.result = result
        case .failure(let failure): job.failure = failure
        case .items:
            job.failure = Failure(
                .exception, type: "ProtocolError", message: "A call was answered as a chunk.")
        }
    }

    /// Decides where the job goes: its end, another attempt, or back to the queue.
    private func end(
        _ job: inout Job, _ segments: [ItemSegment], on dispatcher: isolated Dispatcher,
    ) async {
        let now = Timestamp.now()
        switch job.failure?.reason {
        case nil: job.state = .succeeded
        case .cancelled: job.state = .cancelled
        case .lost:
            // The server stops: the job waits for its next start, this attempt uncounted.
            job.state = .queued
            job.attempt -= 1
            job.failure = nil
        case .exception, .timeout, .signal, .outOfMemory, .exit, .limit, .unavailable:
            record(&job, endedAt: now)
            giveUpPoison(&job, after: dispatcher.maxWorkerDeaths)
            let policy = dispatcher.retryPolicy(of: job, function)
            if Task.isCancelled {
                job.state = .cancelled  // it failed while it was being stopped
            } else if job.attempt < policy.maxAttempts, job.failure?.isPermanent != true {
                job.state = .queued
                let delay = job.failure?.retryAfter ?? policy.jitteredDelay(after: job.attempt)
                job.notBefore = now.adding(seconds: delay)
            } else {
                job.state = .failed
            }
        }
        if job.state.isEnd {
            job.endedAt = now
            job.expiresAt = now.adding(seconds: dispatcher.keepSeconds(of: job))
        }
        await dispatcher.ended(job, adding: segments)
    }

    /// Gives a job up that has ended as many workers as one may, whatever its retry policy says.
    ///
    /// A command's process is its own alone: it takes nobody down.
    private func giveUpPoison(_ job: inout Job, after most: Int) {
        guard function?.runtime != .command, job.failure?.hasEndedWorker == true,
            job.failedAttempts.count(where: \.failure.hasEndedWorker) >= most
        else { return }
        job.failure?.isPermanent = true
        job.failure?.message += " It has ended \(most) workers and is given up."
    }

    private func record(_ job: inout Job, endedAt: Timestamp) {
        guard let failure = job.failure, let startedAt = job.startedAt else { return }
        job.failedAttempts.append(
            FailedAttempt(
                number: job.attempt, startedAt: startedAt, endedAt: endedAt, failure: failure))
        job.failedAttempts.removeFirst(max(0, job.failedAttempts.count - FailedAttempt.most))
    }
}
