import CCurl
package import Sockets

/// Fetches over HTTP/1.1 and HTTP/2, many at once on the thread of one event loop.
///
/// Connections are kept and shared between requests. Names are resolved on threads of libcurl's.
package final class WebClient: @unchecked Sendable {
    // Unchecked: `transfers` is used on the thread of `loop` alone.
    private let loop: EventLoop
    private let transfers: TransferLoop
    private let access: WebAccess

    /// - Parameters:
    ///   - loop: on which it lives; stopped by its owner, after `close()`.
    ///   - access: where it may connect to and whom it trusts.
    ///   - limits: how much it does at once.
    package init(on loop: EventLoop, access: WebAccess, limits: WebLimits = WebLimits()) {
        self.loop = loop
        self.access = access
        transfers = TransferLoop(loop: loop, limits: limits)
    }

    /// Sends a request and waits for the whole answer, trying again as the request says.
    ///
    /// - Returns: the answer, whatever its status.
    /// - Throws: `cancelled` when the task is cancelled, which breaks off the transfer; else the
    ///   reason why there is no answer.
    package func send(_ request: WebRequest) async throws(WebError) -> WebResponse {
        var attempt = 1
        while true {
            let outcome = await once(request)
            guard
                let delay = request.retry.delay(
                    after: attempt, outcome,
                    isIdempotent: request.isIdempotent && request.receive == nil),
                request.upload == nil
            else {
                var response = try outcome.get()
                response.attempts = attempt
                return response
            }
            do { try await Task.sleep(for: delay) } catch { throw .cancelled }
            attempt += 1
        }
    }

    private func once(_ request: WebRequest) async -> Result<WebResponse, WebError> {
        let transfer: Transfer
        do throws(WebError) {
            transfer = try Transfer(request, access: access)
        } catch {
            return .failure(error)
        }
        request.upload?.onNews { [loop] in loop.execute { transfer.goOn() } }
        return await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                loop.execute {
                    transfer.wait(with: continuation)
                    self.transfers.start(transfer)
                }
            }
        } onCancel: {
            loop.execute { self.transfers.cancel(transfer) }
        }
    }

    /// Breaks off what runs and waits, and closes the connections.
    package func close() {
        loop.execute { self.transfers.close() }
    }
}

/// Where a client may connect to and whom it trusts.
package struct WebAccess: Sendable {
    package var rules: TargetRules
    /// File of certificates in PEM that secured servers must descend from; nil for the system's.
    package var authorities: String?

    /// Path of a Unix socket that everything is asked of instead; nil for none.
    package var socket: String?

    package init(_ rules: TargetRules, authorities: String? = nil, socket: String? = nil) {
        self.rules = rules
        self.authorities = authorities
        self.socket = socket
    }
}
