import DovetailCore
import NIOCore

/// Everything that one event loop owns: its clients, its pools, its compiled routes, its timers and its counters.
///
/// A request never leaves its worker; nothing here is shared, and all of it is touched on the loop alone.
final class Worker {
    let loop: any EventLoop
    let shared: SharedState
    private(set) var snapshot: Snapshot
    /// What it will serve by, once all loops can.
    private var draft: (snapshot: SnapshotDraft, authenticators: [String: AuthenticatorState])?
    private var wheel: TimerWheel
    private var isTicking = false
    private var clients: [ObjectIdentifier: ClientConnection] = [:]
    private var http2: [ObjectIdentifier: any Channel] = [:]
    private var onDrained: (() -> Void)?
    private(set) var isDraining = false
    var random = FastRandom()
    /// Requests that the gateway made of others, until they are over.
    var copies: [ObjectIdentifier: RequestCopy] = [:]
    /// How late the loop is of late; measured while timers run.
    private(set) var lag = LoopLag()
    private var tickDue: Int64 = 0
    /// When the wheel last moved, in nanoseconds: the time to 10 ms, for nothing, while any timer is set.
    private(set) var tickTime: Int64
    private let lagTimer = WheelTimer()
    var counters = GatewayMetrics()
    private var routeMetrics: [String: RouteCounters] = [:]
    private var upstreamMetrics: [String: UpstreamCounters] = [:]
    private var authenticators: [String: AuthenticatorState] = [:]
    /// Where heads and small bodies are composed, between ``compose()`` and ``takeComposed()``.
    var scratch = ByteBuffer()
    private(set) var isComposing = false
    private var wallSecond: Int64 = -1
    private var dateText: [UInt8] = []

    /// The counters of requests that met no route.
    let unroutedCounters: RouteCounters

    init(loop: any EventLoop, shared: SharedState) {
        self.loop = loop
        self.shared = shared
        tickTime = MonotonicTime.now.nanoseconds
        wheel = TimerWheel(now: tickTime)
        snapshot = Snapshot.empty
        unroutedCounters = RouteCounters()
        routeMetrics[""] = unroutedCounters
    }

    /// Begins to compile a configuration for ``takeOver()``. On an error, and until then, nothing has changed.
    ///
    /// - Parameter router: What finds its routes; nil where those are the same as now.
    func prepare(
        _ configuration: GatewayConfiguration, router: Router?, verifiers: [String: JWTVerifier]
    ) throws(GatewayConfigurationError) {
        var states: [String: AuthenticatorState] = [:]
        for (name, verifier) in verifiers {
            let known = authenticators[name]
            states[name] = known?.verifier === verifier ? known : AuthenticatorState(verifier)
        }
        var compiled = states.mapValues { CompiledAuthenticator.tokens($0) }
        for (name, authenticator) in configuration.authenticators {
            if let table = try CredentialTable(name: name, authenticator) { compiled[name] = .secrets(table) }
            switch authenticator {
            case .signatures(let signatures):
                let nonces = shared.nonces(of: name, signatures)
                compiled[name] = .signatures(SignatureVerifier(name: name, signatures, nonces: nonces))
            case .certificates(let clients): compiled[name] = .certificates(CertificatePrincipals(name: name, clients))
            default: break
            }
        }
        let next = try SnapshotDraft(
            configuration, router: router ?? snapshot.router, authenticators: compiled, worker: self, previous: snapshot
        )
        discardPrepared()
        draft = (next, states)
    }

    /// Compiles some more of its routes; true when there are no more.
    func prepareRoutes(atMost count: Int) throws(GatewayConfigurationError) -> Bool {
        try draft?.snapshot.compile(atMost: count) ?? true
    }

    /// Serves by what was prepared; requests in flight keep the routes that they started with.
    func takeOver() {
        guard let (draft, states) = self.draft.take() else { return }
        let next = Snapshot(draft)
        authenticators = states
        for (name, pool) in snapshot.pools where next.pools[name] !== pool { pool.retire() }
        snapshot = next
        if next.load?.maximumLoopLag != nil { measureLag() } else { cancel(lagTimer) }
    }

    /// Goes on as before.
    func discardPrepared() {
        guard let (next, _) = draft.take() else { return }
        for (name, pool) in next.pools where snapshot.pools[name] !== pool { pool.retire() }
    }

    /// Keeps time while nothing else does.
    private func measureLag() {
        lagTimer.onFire = { [unowned self] in schedule(lagTimer, at: .now + .nanoseconds(TimerWheel.tickLength)) }
        schedule(lagTimer, at: .now + .nanoseconds(TimerWheel.tickLength))
    }

    /// The counters of a route, which outlive changes of the configuration.
    func counters(forRoute id: String) -> RouteCounters {
        if let counters = routeMetrics[id] { return counters }
        let counters = RouteCounters()
        routeMetrics[id] = counters
        return counters
    }

    /// The counters of an upstream, which outlive changes of the configuration too.
    func counters(forUpstream name: String) -> UpstreamCounters {
        if let counters = upstreamMetrics[name] { return counters }
        let counters = UpstreamCounters()
        upstreamMetrics[name] = counters
        return counters
    }

    /// The counters of this loop as they stand.
    func currentMetrics() -> GatewayMetrics {
        var metrics = counters
        metrics.openClientConnections = clients.count
        metrics.loopLag = Double(lag.nanoseconds) / 1e9
        metrics.routes = routeMetrics.mapValues(\.values)
        metrics.upstreams = upstreamMetrics.mapValues(\.values)
        return metrics
    }

    // MARK: Composing

    /// Makes ready to compose, unless something is being composed already.
    func compose() {
        guard !isComposing else { return }
        isComposing = true
        // Its storage is free again once the last use has reached the socket, which it has in all but slow cases.
        scratch.clear()
    }

    /// What was composed, to be written.
    func takeComposed() -> ByteBuffer {
        isComposing = false
        return scratch
    }

    // MARK: Clients

    func opened(_ client: ClientConnection) {
        clients[ObjectIdentifier(client)] = client
    }

    func closed(_ client: ClientConnection) {
        clients[ObjectIdentifier(client)] = nil
        finishDrainIfIdle()
    }

    /// A connection that carries streams, each of which is a client of its own.
    func openedHTTP2(_ channel: any Channel) {
        http2[ObjectIdentifier(channel)] = channel
    }

    func closedHTTP2(_ id: ObjectIdentifier) {
        http2[id] = nil
        finishDrainIfIdle()
    }

    /// Lets requests in flight finish, then closes; calls `completion` when the last client is gone.
    func drain(_ completion: @escaping () -> Void) {
        isDraining = true
        onDrained = completion
        for client in clients.values { client.drain() }
        // Each tells its client to open no more streams, and closes after the last (RFC 9113 6.8).
        for channel in http2.values { channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) }
        finishDrainIfIdle()
    }

    /// Closes whatever is left.
    func closeAll() {
        for client in clients.values { client.abort() }
        for channel in http2.values { channel.close(promise: nil) }
        for pool in snapshot.pools.values { pool.retire() }
    }

    /// A handler in this process has ended.
    func handlerEnded() {
        counters.handlerCallsInFlight -= 1
        finishDrainIfIdle()
    }

    private func finishDrainIfIdle() {
        guard isDraining, clients.isEmpty, http2.isEmpty, counters.handlerCallsInFlight == 0, let completion = onDrained
        else {
            return
        }
        onDrained = nil
        completion()
    }

    // MARK: Time

    func schedule(_ timer: WheelTimer, at time: MonotonicTime) {
        wheel.schedule(timer, at: time.nanoseconds)
        tickLater()
    }

    func cancel(_ timer: WheelTimer) {
        wheel.cancel(timer)
    }

    /// Keeps a timer from firing that is set again soon.
    func disarm(_ timer: WheelTimer) {
        wheel.disarm(timer)
    }

    private func tickLater() {
        guard !isTicking, wheel.count > 0 else { return }
        isTicking = true
        tickDue = MonotonicTime.now.nanoseconds + TimerWheel.tickLength
        // Fails only on a loop that is shut down, when nothing is left to time out.
        _ = try? loop.assumeIsolated().scheduleCallback(in: .nanoseconds(TimerWheel.tickLength), handler: self)
    }

    /// Milliseconds since 1970.
    var wallMilliseconds: UInt64 { UInt64(max(0, WallClock.milliseconds)) }

    /// The `Date` field's value, made once a second (RFC 9110 5.6.7).
    func date() -> [UInt8] {
        let second = WallClock.milliseconds / 1000
        if second != wallSecond {
            wallSecond = second
            dateText = Array(WallClock.imfDate(second: second).utf8)
        }
        return dateText
    }
}

extension Worker: NIOScheduledCallbackHandler {
    func handleScheduledCallback(eventLoop: some EventLoop) {
        isTicking = false
        let now = MonotonicTime.now.nanoseconds
        tickTime = now
        lag.ticked(due: tickDue, now: now)
        for timer in wheel.advance(to: now) { timer.fire() }
        tickLater()
    }
}
