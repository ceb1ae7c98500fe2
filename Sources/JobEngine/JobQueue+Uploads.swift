package import Jobs

/// Maps whose items come one after the other, while the first ones run already.
///
/// The job is durable, and may run, from its first line on; each piece of items is durable before
/// the next one is asked for. An upload that does not come to its end cancels the job: by
/// `cutUpload`, or at the next start of the server.
extension JobQueue {
    /// Keeps a map without items and lets it run.
    ///
    /// - Returns: the job, or the one that has its idempotency key already, which takes no items.
    /// - Throws: `QueueFull`, `KeyInUse`, or a `StoreError`.
    package func openUpload(_ job: Job) async throws -> KeptJob {
        var job = job
        job.isUploading = true
        uploads.open(job.id)
        do {
            let kept = try await submit(job)
            if kept.likeness != nil { uploads.forget(job.id) }
            return kept
        } catch {
            uploads.forget(job.id)
            throw error
        }
    }

    /// Adds items to an open upload; false when nobody wants more, because the job has ended.
    package func append(_ piece: ItemPiece, to id: JobID) async throws(StoreError) -> Bool {
        guard uploads.isOpen(id), try await store.appendItems(piece, to: id) else { return false }
        uploads.grew(id, to: piece.range.upperBound)
        live.change(id) { $0.submission.setItemCount(piece.range.upperBound) }
        return true
    }

    /// Notes that all items have come; the job ends when they have.
    package func endUpload(_ id: JobID) async throws(StoreError) {
        try await store.endUpload(id)
        live.change(id) { $0.isUploading = false }
        uploads.close(id)
    }

    /// Cancels a job whose upload has broken off.
    ///
    /// - Throws: a `StoreError`; then the next start of the server cancels it.
    package func cutUpload(_ id: JobID, because why: String) async throws(StoreError) {
        // First, since a run whose upload is closed may succeed with the items that it has.
        try await dispatcher.cancel(id, as: .uploadCut(why))
        try await endUpload(id)
    }

    // MARK: Looking

    /// Items of a large map, from the one that begins a piece; nil when there is none.
    package func piece(_ id: JobID, at first: Int) async throws(StoreError) -> ItemPiece? {
        try await store.piece(id, at: first)
    }

    /// Whether a stored job was submitted as another one that is not stored; it may be forgotten
    /// meanwhile, and is not told apart then.
    package func isSame(_ id: JobID, as sent: Job) async throws(StoreError) -> Bool {
        guard let kept = try await job(id) else { return true }
        guard kept.submission.document == sent.submission.document else { return false }
        guard !sent.pieces.isEmpty else { return true }
        for piece in sent.pieces {
            guard try await store.piece(id, at: piece.first) == piece else { return false }
        }
        return kept.submission.work.itemCount == sent.submission.work.itemCount
    }

    /// Cancels what an earlier server has left without its end.
    static func cutUnfinishedUploads(_ parts: EngineParts) async throws(StoreError) {
        for id in try await parts.store.unfinishedUploads() {
            if var job = try await parts.store.job(id), !job.state.isEnd {
                job.state = .cancelled
                job.failure = .uploadCut("The server stopped before all items had come.")
                job.endedAt = .now()
                job.expiresAt = job.endedAt?.adding(
                    seconds: job.submission.keep ?? parts.settings.keepSeconds)
                try await parts.store.update(job, adding: [])
            }
            try await parts.store.endUpload(id)
        }
    }
}

extension Failure {
    static func uploadCut(_ why: String) -> Failure {
        Failure(.cancelled, type: "UploadCut", message: why)
    }
}
