import HTTPWire
import Sockets
import Threads

/// The bytes of one client: what is read and written, by when, and how it ends.
///
/// Belongs to its loop's thread. Deadlines are points that the loop looks at now and then
/// (`ServerLoop.sweep`), not timers: a request sets and clears several of them.
final class ClientStream: MemoryHolder, @unchecked Sendable {
    // Unchecked: used on its loop's thread alone.
    let home: ServerLoop
    let socket: AsyncSocket
    var client: HTTPClient
    /// Its place in the ledger; nil when it is not counted against an address.
    let countedAddress: PeerAddress?
    /// Where it stands in the table of its loop.
    var index = 0
    /// What is to be sent and has not been.
    var output = HTTP1Writer()

    var readDeadline = LoopInstant.never {
        didSet { isIdle = false }
    }
    /// Whether it waits for a request, none being under way: then it may be closed to make room.
    private(set) var isIdle = false
    private(set) var writeDeadline = LoopInstant.never
    /// Since when the client has sent nothing of a body that is waited for.
    private var silentSince = LoopInstant.never
    /// Since when the client has taken nothing of what waits.
    private var untakenSince = LoopInstant.never
    /// What is held for it, in the account of its loop.
    private(set) var held = HeldParts()
    /// Whether its body was given up because too much was held.
    private(set) var isGivenUp = false
    /// Whether nothing more is sent, whoever tries.
    private var isBrokenOff = false
    /// The task that serves the client where something must be waited for; cancelled when the client
    /// leaves during a handler.
    var task: Task<Void, Never>?
    /// Whether a handler is at work, so that a client that leaves is to be noticed.
    var isHandling = false
    /// Called when the server drains.
    var onDrain: (() -> Void)?
    /// Called now and then, with the time.
    var onSweep: ((LoopInstant) -> Void)?
    /// Called when the connection is broken off, to let go of what is held for it.
    var onBreakOff: (() -> Void)?
    /// Called before the connection is closed to make room, while it is idle.
    var onFarewell: (() -> Void)?
    /// Calls its argument with each stream of the connection, if it has any.
    var streamHolders: (((any MemoryHolder) -> Void) -> Void)?

    init(socket: AsyncSocket, home: ServerLoop, client: HTTPClient, countedAddress: PeerAddress?) {
        self.socket = socket
        self.home = home
        self.client = client
        self.countedAddress = countedAddress
    }

    // MARK: Reading

    /// Reads what the client sends next into the loop's scratch, where it stays until the task
    /// suspends; 0 at the end of the stream.
    func receive() async throws(SocketError) -> Int {
        while true {
            if let count = try receiveNow() { return count }
            await socket.untilReadable()
        }
    }

    /// The same without waiting; nil when there is nothing yet.
    func receiveNow() throws(SocketError) -> Int? {
        guard let count = try socket.readNow(into: home.scratch) else { return nil }
        home.counters.add(.bytesReceived, count)
        return count
    }

    /// Begins to wait for more of a body, until `deadline`.
    func startReadClock(_ deadline: LoopInstant) {
        readDeadline = deadline
        silentSince = home.loop.now
    }

    func stopReadClock() {
        readDeadline = .never
        silentSince = .never
    }

    /// Reads at most `count` bytes to the end of `bytes`; 0 at the end of the stream.
    func receive(
        upTo count: Int, into bytes: inout [UInt8],
    ) async throws(SocketError) -> Int {
        while true {
            if let count = try receiveNow(upTo: min(count, 1 << 20), into: &bytes) { return count }
            await socket.untilReadable()
        }
    }

    private func receiveNow(
        upTo most: Int, into bytes: inout [UInt8],
    ) throws(SocketError) -> Int? {
        var received: Int?
        try bytes.append(addingCapacity: most) { room throws(SocketError) in
            try room.withUnsafeMutableBufferPointer { buffer, used throws(SocketError) in
                let free = UnsafeMutableBufferPointer(rebasing: buffer[used...].prefix(most))
                received = try socket.readNow(into: UnsafeMutableRawBufferPointer(free))
                used += received ?? 0
            }
        }
        if let received { home.counters.add(.bytesReceived, received) }
        return received
    }

    /// The first `count` bytes of what was received.
    func received(_ count: Int) -> UnsafeBufferPointer<UInt8> {
        UnsafeRawBufferPointer(rebasing: home.scratch[..<count])
            .assumingMemoryBound(to: UInt8.self)
    }

    // MARK: Writing

    var unsentBytes: Int { output.bytes.count }

    /// Sends what can be sent now; whether that was all.
    ///
    /// For the rest the client has `writeTimeout` from the last byte that it has taken. Where they are the
    /// last (`isLast`) the end of the stream is to follow at once.
    func flushNow(isLast: Bool = false) throws(SocketError) -> Bool {
        guard unsentBytes > 0 else { return true }
        if isBrokenOff { throw .timedOut }
        let count = try socket.writeNow(output.bytes.unsafeBytes, isLast: isLast)
        home.counters.add(.bytesSent, count)
        output.bytes.drop(count)
        if unsentBytes != held.output { hold(unsentBytes, as: \.output) }
        guard unsentBytes == 0 else {
            if count > 0 || writeDeadline == .never { startWriteClock() }
            return false
        }
        stopWriteClock()
        home.takeBack(&output.bytes)
        return true
    }

    /// Sends everything, waiting for the client to take it.
    func flush() async throws(SocketError) {
        guard try !flushNow() else { return }
        defer { stopWriteClock() }
        home.relieve()
        repeat {
            await socket.untilWritable()
        } while try !flushNow()
    }

    /// Sends everything and then `bytes`, which are not copied.
    func write(_ bytes: ArraySlice<UInt8>) async throws(SocketError) {
        try await flush()
        var position = bytes.startIndex
        hold(bytes.count, as: \.piece)
        defer {
            hold(0, as: \.piece)
            stopWriteClock()
        }
        while position < bytes.endIndex {
            if isBrokenOff { throw .timedOut }
            let count = try socket.writeNow(bytes[position...])
            home.counters.add(.bytesSent, count)
            position += count
            if position < bytes.endIndex {
                if count > 0 || writeDeadline == .never { startWriteClock() }
                home.relieve()
                await socket.untilWritable()
            }
        }
    }

    /// Sends everything and then a part of a file, which is in no memory of the server's.
    ///
    /// Adds to `sent` what has been sent of it. Not with TLS.
    ///
    /// - Throws: `HTTPContentError.endedEarly` when the file does not reach so far any more.
    func write(_ file: OpenFile, _ part: Range<Int>, _ sent: inout Int) async throws {
        try await flush()
        defer { stopWriteClock() }
        var rest = part
        while !rest.isEmpty {
            // The disk's time is not the client's; and others have their turn in between.
            stopWriteClock()
            var stretch = rest.prefix(Self.stretchBytes)
            try await file.bringIn(stretch)
            rest = rest.dropFirst(stretch.count)
            while !stretch.isEmpty {
                if isBrokenOff { throw SocketError.timedOut }
                guard let count = try socket.sendNow(file.descriptor, stretch) else {
                    throw HTTPContentError.endedEarly
                }
                home.counters.add(.bytesSent, count)
                sent += count
                stretch = stretch.dropFirst(count)
                guard !stretch.isEmpty else { break }
                if count > 0 || writeDeadline == .never { startWriteClock() }
                await socket.untilWritable()
            }
            await Task.yield()
        }
    }

    /// Bytes of a file that are in memory before they are sent.
    private static let stretchBytes = 1 << 20

    /// Sends soon what is not sent, and the rest as the client takes it, while a handler may take its
    /// time over the next answer.
    func flushSoon() {
        guard unsentBytes > 0 else { return }
        home.loop.execute { [self] in flushAsTaken() }
    }

    /// Sends what can be sent; the rest when there is room, whether or not a task comes to wait for it.
    private func flushAsTaken() {
        // An error shows again at the next write.
        let isOver = (try? flushNow()) ?? true
        socket.onWritable = isOver ? nil : { [unowned self] in flushAsTaken() }
    }

    private func startWriteClock() {
        untakenSince = home.loop.now
        writeDeadline = untakenSince + home.settings.writeTimeout
    }

    private func stopWriteClock() {
        untakenSince = .never
        writeDeadline = .never
    }

    // MARK: What is held

    var heldBytes: Int { held.sum }

    var stalledSince: LoopInstant { min(silentSince, untakenSince) }

    /// Notes how much is held for the client now, of one kind.
    func hold(_ bytes: Int, as part: WritableKeyPath<HeldParts, Int>) {
        home.hold(bytes - held[keyPath: part])
        held[keyPath: part] = bytes
    }

    private func releaseAll() {
        home.hold(-held.sum)
        held = HeldParts()
    }

    /// Ends the wait for a client that takes nothing, which breaks the connection, or sends nothing
    /// of a body, which is answered.
    func giveUp() {
        releaseAll()
        silentSince = .never
        guard writeDeadline != .never else {
            isGivenUp = true
            return socket.expireRead()
        }
        breakOff()
    }

    /// Breaks the connection, since its client takes nothing.
    private func breakOff() {
        isBrokenOff = true
        releaseAll()
        onBreakOff?()
        stopWriteClock()
        socket.abortsOnClose = true
        socket.expireWrite()
    }

    // MARK: Time and end

    /// Waits for the next request until `deadline`.
    func awaitRequest(until deadline: LoopInstant) {
        readDeadline = deadline
        isIdle = true
    }

    /// Called by the loop now and then.
    func sweep(_ now: LoopInstant) {
        onSweep?(now)
        if isHandling, socket.hasHungUp, let task, !task.isCancelled {
            home.counters.add(.hangUps)
            task.cancel()
        }
        if readDeadline <= now {
            readDeadline = .never
            socket.expireRead()
        }
        if writeDeadline <= now {
            home.counters.add(.limitWriteTime)
            breakOff()
        }
    }

    /// Reads and drops what the client still sends, for a while, and as long as it takes what the kernel
    /// has for it: closing at once would make the kernel reset the connection, and the client lose
    /// the answer (RFC 9112, section 9.6).
    func linger() async {
        socket.shutdownWrite()
        var untaken = socket.untakenBytes
        while await dropForAWhile() {
            let left = socket.untakenBytes
            guard left > 0, left < untaken else { return }
            untaken = left
        }
    }

    /// Whether the client has not left meanwhile.
    private func dropForAWhile() async -> Bool {
        let end = home.loop.now + home.settings.lingerTime
        var dropped = 0
        do {
            while dropped < home.settings.lingerBytes {
                readDeadline = min(end, home.loop.now + home.settings.lingerTimeout)
                let count = try await receive()
                guard count > 0 else { return false }
                dropped += count
                // It may send faster than this reads, and others are to have their turn.
                await Task.yield()
            }
            return true
        } catch {
            return error == .timedOut
        }
    }

    func close() {
        readDeadline = .never
        stopWriteClock()
        releaseAll()
        socket.onReadable = nil
        socket.onWritable = nil
        onDrain = nil
        onSweep = nil
        onBreakOff = nil
        onFarewell = nil
        streamHolders = nil
        task = nil
        socket.close()
    }
}
