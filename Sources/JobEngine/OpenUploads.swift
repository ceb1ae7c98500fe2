import Jobs
import Synchronization

/// Maps whose items are still being uploaded, and the attempts that wait for more of them.
///
/// One whose upload has ended is known until the job has, for how many items have come: whoever
/// takes the job to run it may do so only then.
///
/// May be used from any thread.
final class OpenUploads: Sendable {
    private struct Upload {
        /// Items that are durable.
        var count = 0
        var isOpen = true
        var waiting: [UnsafeContinuation<Void, Never>] = []
    }

    private let uploads = Mutex<[JobID: Upload]>([:])

    func open(_ id: JobID) { uploads.withLock { $0[id] = Upload() } }

    func isOpen(_ id: JobID) -> Bool { uploads.withLock { $0[id]?.isOpen ?? false } }

    /// Says of a job that is taken to be run what its upload has come to.
    func update(_ job: inout Job) {
        let upload = uploads.withLock { $0[job.id] }
        job.isUploading = upload?.isOpen ?? false
        if let upload { job.submission.setItemCount(upload.count) }
    }

    /// Tells those who wait that there are more items.
    func grew(_ id: JobID, to count: Int) {
        uploads.withLock { $0[id]?.count = count }
        wake(id)
    }

    /// Tells those who wait that no more items will come.
    func close(_ id: JobID) {
        uploads.withLock { $0[id]?.isOpen = false }
        wake(id)
    }

    /// Closes the upload of a job that has ended.
    func forget(_ id: JobID) {
        let waiting = uploads.withLock { uploads in
            uploads.isEmpty ? nil : uploads.removeValue(forKey: id)?.waiting
        }
        for waiter in waiting ?? [] { waiter.resume() }
    }

    /// Has those who wait look whether they should go on waiting.
    func wake(_ id: JobID) {
        let waiting = uploads.withLock { uploads -> [UnsafeContinuation<Void, Never>] in
            defer { uploads[id]?.waiting = [] }
            return uploads[id]?.waiting ?? []
        }
        for waiter in waiting { waiter.resume() }
    }

    /// Waits until there are more than `known` items, no more will come, or `wake` was called.
    func wait(for id: JobID, past known: Int) async {
        await withUnsafeContinuation { continuation in
            let waits = uploads.withLock { uploads in
                guard let upload = uploads[id], upload.isOpen, upload.count <= known else {
                    return false
                }
                uploads[id]?.waiting.append(continuation)
                return true
            }
            if !waits { continuation.resume() }
        }
    }
}
