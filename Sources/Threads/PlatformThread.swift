import CLinux
import Glibc

/// Starts a named, detached operating-system thread that runs `body` once.
///
/// It may run on all CPUs that the process may, also if its starter is kept on one.
///
/// - Parameters:
///   - name: shown by `top -H` and debuggers; cut to 15 bytes, the kernel's limit.
///   - body: what the thread runs; the thread ends when it returns.
package func startThread(_ name: String, _ body: @escaping @Sendable () -> Void) {
    let failure = tryThread(name, body)
    precondition(failure == 0, "cannot start thread \(name): \(String(cString: strerror(failure)))")
}

/// As `startThread`, for a thread that can be done without.
///
/// - Returns: 0, or the error number that says why there is no such thread.
func tryThread(_ name: String, _ body: @escaping @Sendable () -> Void) -> Int32 {
    let start = Unmanaged.passRetained(ThreadStart(name: name, body: body))
    var thread = pthread_t()
    let failure = pthread_create(
        &thread, nil,
        { raw in
            guard let raw else { return nil }
            let start = Unmanaged<ThreadStart>.fromOpaque(raw).takeRetainedValue()
            clinux_name_thread(start.name)
            clinux_use_all_cpus()
            start.body()
            return nil
        }, start.toOpaque())
    guard failure == 0 else {
        start.release()
        return failure
    }
    pthread_detach(thread)
    return 0
}

private final class ThreadStart {
    let name: String
    let body: @Sendable () -> Void

    init(name: String, body: @escaping @Sendable () -> Void) {
        self.name = name
        self.body = body
    }
}
