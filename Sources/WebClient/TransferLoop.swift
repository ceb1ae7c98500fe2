import CCurl
import CLinux
import Glibc
import Sockets

/// Runs transfers on an event loop: libcurl's multi interface, told of ready sockets and timers.
///
///     start ─► TransferQueue ─► add_handle ─► libcurl ── watch this socket, wake me then ──► loop
///     ended ◄── info_read ◄── socket_action ◄── socket ready, time over ────────────────────┘
///
/// For the loop's thread alone. libcurl must not be called from its own callbacks: these only
/// note what it wants.
final class TransferLoop {
    private let loop: EventLoop
    private let limits: WebLimits
    private var multi: UnsafeMutableRawPointer?
    private var queue: TransferQueue<Transfer>
    /// By their easy handle; libcurl holds them unretained.
    private var running: [UnsafeMutableRawPointer: Transfer] = [:]
    /// Handles for the next transfers: a new one costs a few allocations.
    private var spare: [UnsafeMutableRawPointer] = []
    private var sockets: [Int32: SocketWatch] = [:]
    private var timer: LoopTimer?
    private var isClosed = false

    init(loop: EventLoop, limits: WebLimits) {
        self.loop = loop
        self.limits = limits
        queue = TransferQueue(limits: limits)
    }

    deinit {
        // Of a client that nobody has closed, as at the end of a command; nothing runs any more.
        for easy in spare { curl_easy_cleanup(easy) }
        guard let multi else { return }
        ccurl_multi_set_callbacks(multi, nil, nil, nil)
        curl_multi_cleanup(multi)
    }

    /// libcurl's own start; once a process, also from several threads.
    private static let isStarted = ccurl_start() == CURLE_OK

    // MARK: Transfers

    /// Starts a transfer when it is its turn.
    func start(_ transfer: Transfer) {
        guard !isClosed, !transfer.isOver else { return transfer.end(.failure(.cancelled)) }
        guard queue.add(transfer, host: transfer.origin.key) else {
            return transfer.end(.failure(.overloaded(limit: limits.waiting)))
        }
        startNext()
    }

    /// Ends a transfer that waits or runs.
    func cancel(_ transfer: Transfer) {
        guard !transfer.isOver else { return }
        transfer.end(.failure(.cancelled))
        guard let easy = transfer.easy, running[easy] === transfer else { return }
        retire(easy)
        startNext()
    }

    /// Ends all transfers and closes all connections.
    func close() {
        isClosed = true
        for (easy, transfer) in running {
            transfer.end(.failure(.cancelled))
            retire(easy)
        }
        while let waiting = queue.next() {
            waiting.end(.failure(.cancelled))
            queue.ended(host: waiting.origin.key)
        }
        for easy in spare { curl_easy_cleanup(easy) }
        spare = []
        if let multi { curl_multi_cleanup(multi) }
        multi = nil
        timer?.cancel()
        for (fd, _) in sockets { loop.unwatch(fd) }
        sockets = [:]
    }

    private func startNext() {
        while let transfer = queue.next() {
            guard !transfer.isOver else {
                queue.ended(host: transfer.origin.key)
                continue
            }
            guard let multi = openMulti(), let easy = spare.popLast() ?? curl_easy_init() else {
                queue.ended(host: transfer.origin.key)
                transfer.end(.failure(.badRequest("libcurl does not start")))
                continue
            }
            transfer.prepare(easy)
            running[easy] = transfer
            curl_multi_add_handle(multi, easy)
        }
    }

    private func openMulti() -> UnsafeMutableRawPointer? {
        if let multi { return multi }
        guard Self.isStarted, let multi = curl_multi_init() else { return nil }
        self.multi = multi
        ccurl_multi_set_callbacks(
            multi, onSocketWish, onTimerWish, Unmanaged.passUnretained(self).toOpaque())
        // Transfers are bounded by the queue; these also bound what redirects open, and the
        // connections that are kept.
        ccurl_multi_set(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, limits.total)
        ccurl_multi_set(multi, CURLMOPT_MAX_HOST_CONNECTIONS, limits.perHost)
        ccurl_multi_set(multi, CURLMOPT_MAXCONNECTS, limits.total)
        return multi
    }

    /// Frees the place and the handle of a transfer.
    private func retire(_ easy: UnsafeMutableRawPointer) {
        guard let transfer = running.removeValue(forKey: easy) else { return }
        curl_multi_remove_handle(multi, easy)
        queue.ended(host: transfer.origin.key)
        if spare.count < limits.total {
            curl_easy_reset(easy)
            spare.append(easy)
        } else {
            curl_easy_cleanup(easy)
        }
    }

    // MARK: Events

    /// Lets libcurl go on with a socket, or with what its time has come for.
    fileprivate func act(_ socket: Int32, _ events: Int32) {
        guard let multi else { return }
        var left: Int32 = 0
        curl_multi_socket_action(multi, socket, events, &left)
        takeEnded(multi)
    }

    private func takeEnded(_ multi: UnsafeMutableRawPointer) {
        var more: Int32 = 0
        while let message = curl_multi_info_read(multi, &more) {
            guard message.pointee.msg == CURLMSG_DONE, let easy = message.pointee.easy_handle,
                let transfer = running[easy]
            else { continue }
            // The message is gone once the handle is removed.
            let outcome = transfer.outcome(message.pointee.data.result)
            retire(easy)
            transfer.end(outcome)
        }
        startNext()
    }

    fileprivate func wish(_ fd: Int32, _ what: Int32) {
        if what == CURL_POLL_REMOVE {
            if sockets.removeValue(forKey: fd) != nil { loop.unwatch(fd) }
            return
        }
        var events: UInt32 = 0
        if what & CURL_POLL_IN != 0 { events |= EPOLLIN.rawValue }
        if what & CURL_POLL_OUT != 0 { events |= EPOLLOUT.rawValue }
        if sockets[fd] != nil { return loop.change(fd, events) }
        let watch = SocketWatch(fd, self)
        sockets[fd] = watch
        // Refused only when the kernel has no memory: the transfer then ends by its timeout.
        try? loop.watch(fd, events, handler: watch)
    }

    fileprivate func wish(milliseconds: Int) {
        timer?.cancel()
        timer = nil
        guard milliseconds >= 0 else { return }
        timer = loop.schedule(after: .milliseconds(milliseconds)) { [weak self] in
            self?.timer = nil
            self?.act(CURL_SOCKET_BAD, 0)
        }
    }
}

/// One of libcurl's sockets on the event loop.
private final class SocketWatch: EventHandler {
    private let fd: Int32
    private weak var transfers: TransferLoop?

    init(_ fd: Int32, _ transfers: TransferLoop) {
        self.fd = fd
        self.transfers = transfers
    }

    func ready(_ events: UInt32) {
        var action: Int32 = 0
        if events & EPOLLIN.rawValue != 0 { action |= CURL_CSELECT_IN }
        if events & EPOLLOUT.rawValue != 0 { action |= CURL_CSELECT_OUT }
        if events & (EPOLLERR.rawValue | EPOLLHUP.rawValue) != 0 { action |= CURL_CSELECT_ERR }
        transfers?.act(fd, action)
    }
}

private let onSocketWish: curl_socket_callback = { _, fd, what, context, _ in
    context.map { Unmanaged<TransferLoop>.fromOpaque($0).takeUnretainedValue() }?.wish(fd, what)
    return 0
}

private let onTimerWish: curl_multi_timer_callback = { _, milliseconds, context in
    context.map { Unmanaged<TransferLoop>.fromOpaque($0).takeUnretainedValue() }?
        .wish(milliseconds: milliseconds)
    return 0
}
