import DovetailCore
import NIOCore

/// One loop's HTTP/2 connections to one server: a new one is made where those that are there have no room.
final class UpstreamSessions {
    private let loop: any EventLoop
    private let scheme: String
    private let connect: () -> EventLoopFuture<any Channel>
    private let timeout: Duration
    private let streamsEach: Int
    private var sessions: [UpstreamSession] = []
    private var opening: EventLoopFuture<Void>?
    private var isRetired = false

    /// Sessions on connections that `connect` makes, with TLS where it is spoken. A server that says nothing for `timeout` is none.
    init(
        loop: any EventLoop, isSecure: Bool, timeout: Duration, streamsEach: Int = 1 << 24,
        connect: @escaping () -> EventLoopFuture<any Channel>
    ) {
        self.streamsEach = streamsEach
        self.loop = loop
        scheme = isSecure ? "https" : "http"
        self.timeout = timeout
        self.connect = connect
    }

    /// A stream for one request.
    func stream() -> EventLoopFuture<any Channel> {
        sessions.removeAll { $0.isClosing }
        if let session = sessions.first(where: \.hasRoom) {
            // One that came when it was too late ends with whoever waited for it.
            defer { if isRetired { retire() } }
            return session.open { MonotonicTime.now.nanoseconds }
        }
        let bound = NIOLoopBound(self, eventLoop: loop)
        return (opening ?? openSession()).flatMap { bound.value.stream() }
    }

    private func openSession() -> EventLoopFuture<Void> {
        let bound = NIOLoopBound(self, eventLoop: loop)
        let opened = connect().flatMap { channel in bound.value.begin(on: channel) }
        opening = opened
        opened.whenComplete { _ in bound.value.opening = nil }
        return opened
    }

    private func begin(on channel: any Channel) -> EventLoopFuture<Void> {
        do {
            let (session, ready) = try UpstreamSession.make(
                on: channel, scheme: scheme, streams: streamsEach, patience: timeout, now: MonotonicTime.now.nanoseconds
            )
            let limit = loop.scheduleTask(in: .nanoseconds(timeout.wholeNanoseconds)) { channel.close(promise: nil) }
            let bound = NIOLoopBound(self, eventLoop: loop)
            let added = NIOLoopBound(session, eventLoop: loop)
            return ready.flatMapThrowing {
                guard added.value.hasRoom else { throw ChannelError.eof }
                bound.value.sessions.append(added.value)
            }.always { result in
                limit.cancel()
                if case .failure = result { channel.close(promise: nil) }
            }
        } catch {
            channel.close(promise: nil)
            return loop.makeFailedFuture(error)
        }
    }

    /// Those that carry nothing since `time` are closed; says how many are left.
    func closeIdle(since time: Int64) -> Int {
        for session in sessions where session.streams == 0 && session.idleSince <= time { session.retire() }
        sessions.removeAll { $0.isClosing }
        return sessions.count
    }

    /// Each ends with its last request.
    func retire() {
        isRetired = true
        for session in sessions { session.retire() }
        sessions = []
    }
}
