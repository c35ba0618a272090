import DovetailCore
import DovetailResilience
import NIOCore

/// One request and its answer: filters, attempts, and the flow of bytes between the client and whoever answers.
///
/// It lives on its client's loop and ends with the answer's last byte, or with the client.
final class Exchange {
    /// Who answers.
    enum Responder {
        case none
        case upstream(UpstreamConnection)
        case handler(HandlerCall)
        case gathering(Gathering)
        /// Nobody yet: the body is held until it is known to be the one that was signed.
        case signedBody(SignedBody, limit: Int)
    }

    unowned let client: ClientConnection
    let worker: Worker
    let snapshot: Snapshot
    let head: RequestHead
    let fields: [HeaderField]
    let headBytes: ByteBuffer
    let started = MonotonicTime.now
    let correlation: CorrelationID
    let trace: TraceContext
    private(set) var deadline: MonotonicTime?
    private(set) var route: CompiledRoute?
    private(set) var captures = Router.Captures()
    /// What it does to the cache, where it is forwarded for it.
    var fill: CacheFill?
    /// What the cache has to say about it.
    var cacheStatus: String?
    /// Whether it waited for another's answer.
    var isCollapsed = false
    /// Where it is forwarded to, once that is chosen.
    private(set) var pool: UpstreamPool?
    private(set) var originGrant: CompiledCORS.Grant?
    var principal: VerifiedPrincipal?
    /// What another service has it pass on.
    var granted: GrantedFields?
    /// What its route's limits have said so far.
    var limitReport: LimitReport?
    var moreLimitReports: [LimitReport]?

    var responder = Responder.none
    /// Over: the answer is out, or there is nobody to answer.
    private(set) var isOver = false
    /// The status of the final answer, once its head is written; 0 before.
    var status = 0
    var responseFraming = BodyFraming.none
    private var answerIsRefused = false

    var attempts = 0
    var attemptStarted = MonotonicTime(nanoseconds: 0)
    /// Changes with each wait for a connection, so that one that comes too late is known for it.
    var ticket = 0
    var failedServer: Int?
    /// The server that it went to last.
    var lastServer: Int?
    var usedFreeRetry = false
    /// The breaker's leave for the present attempt; given back by being dropped.
    var permit: CircuitBreakerPermit?
    var backoff: WheelTimer?
    /// Places among the requests in flight; given back by being dropped.
    var routePlace: InFlightPlace?
    var upstreamPlace: InFlightPlace?
    var placeWait: PlaceWait?
    /// Whether it counts among the requests that the gateway has in flight in all.
    var isCounted = false
    /// What has come of a body that is to be mirrored.
    var mirrorBody: ByteBuffer?
    /// The second attempt, where there is or may be one.
    var hedge: Hedge?
    /// Whether it is a copy of another request, made by the gateway: nobody gets its answer.
    let isCopy: Bool
    /// The request that it hedges.
    private weak var hedged: Exchange?
    /// Told of a copy's end.
    var onCopyEnd: (() -> Void)?
    /// What went out of the body so far; nil once it is more than may be kept.
    var replay: ByteBuffer? = ByteBuffer()
    private(set) var bodyEnded = false
    private var needsContinue: Bool

    init(client: ClientConnection, head: RequestHead, fields: [HeaderField], bytes: ByteBuffer) {
        let worker = client.worker
        self.client = client
        self.head = head
        self.fields = fields
        self.worker = worker
        snapshot = worker.snapshot
        headBytes = bytes
        needsContinue = head.expectsContinue
        isCopy = false
        (correlation, trace) = bytes.withUnsafeReadableBytes { bytes in
            let trace = head.traceparent.flatMap { TraceContext(bytes[$0], random: &worker.random) }
            let correlation = CorrelationID(
                head.correlationID, in: bytes, milliseconds: worker.wallMilliseconds, random: &worker.random)
            return (correlation, trace ?? TraceContext(random: &worker.random))
        }
    }

    /// A copy of `original`, which has gone through its filters already, with its whole body.
    init(copying original: Exchange, client: ClientConnection, body: ByteBuffer, hedges: Bool) {
        self.client = client
        head = original.head
        fields = original.fields
        worker = original.worker
        snapshot = original.snapshot
        headBytes = original.headBytes
        correlation = original.correlation
        trace = original.trace.next(random: &original.worker.random)
        deadline = original.deadline
        route = original.route
        captures = original.captures
        principal = original.principal
        granted = original.granted
        needsContinue = false
        isCopy = true
        hedged = hedges ? original : nil
        replay = body
        bodyEnded = true
    }

    /// The request that it is a second attempt for; nil for one that is mirrored.
    var hedgedRequest: Exchange? { hedged }

    // MARK: Filters

    /// Routes the request and takes it through the filters, in their fixed order.
    func start() {
        if head.method == .options, let wanted = head.requestMethod, let origin = head.origin,
            answerPreflight(origin: origin, method: wanted)
        {
            return
        }
        let match: Router.Match? = client.origin?.route == nil ? match(head.method, head.methodName) : nil
        switch match {
        case nil: route = client.origin?.route
        case .route(let index): route = snapshot.routes[index]
        case .methodNotAllowed(let allowed):
            grantOrigin(by: snapshot.cors)
            let problem = Problem("method-not-allowed", status: 405, detail: "this path takes \(allowed.description)")
            return reject(.methodNotAllowed, problem, fields: [("allow", allowed.description)])
        case .notFound:
            grantOrigin(by: snapshot.cors)
            return reject(.noRoute, Problem("no-route", status: 404, detail: "nothing is reachable at this path"))
        }
        guard let route else { return }
        if head.origin != nil { grantOrigin(by: route.cors) }
        if let load = snapshot.load, client.origin?.purpose != .authentication, !admitToGateway(load, route) { return }
        if case .length(let length) = head.framing, length > route.maximumBodyBytes { return rejectBody() }
        if let timeout = route.timeoutNanoseconds {
            var deadline = started.advanced(byNanoseconds: timeout)
            if let outer = client.origin?.deadline { deadline = min(deadline, outer) }
            self.deadline = deadline
            worker.schedule(client.deadlineTimer, at: deadline)
        }
        guard admitAddress(), limitBeforeAuthentication() else { return }
        identify()
    }

    /// Finds out who asks, where that has to be known.
    func identify() {
        guard let route else { return }
        guard let authenticator = route.authenticator else { return authenticated() }
        if let origin = client.origin, origin.vouches(for: self, on: route) { return authenticated() }
        switch authenticator {
        case .tokens(let state): authenticate(with: state)
        case .secrets(let table): authenticate(with: table)
        case .service(let service): service.ask(about: self)
        case .signatures(let verifier): authenticate(with: verifier)
        case .certificates(let principals): authenticate(with: principals)
        }
    }

    /// Finds out what the request's origin may be told, by the policy of its route; where there is none, by the gateway's.
    private func grantOrigin(by cors: CompiledCORS?) {
        guard let cors, let origin = head.origin else { return }
        originGrant = headBytes.withUnsafeReadableBytes { cors.grant($0[origin]) }
    }

    private func match(_ method: Method, _ name: ByteRange, isPreflight: Bool = false) -> Router.Match {
        headBytes.withUnsafeReadableBytes { bytes in
            snapshot.router.match(
                method, named: name, host: bytes[head.host], bytes: bytes, path: head.path, query: head.query,
                fields: fields,
                isPreflight: isPreflight, captures: &captures)
        }
    }

    /// Answers a preflight before any authentication, where the route it asks about has a policy.
    private func answerPreflight(origin: ByteRange, method: ByteRange) -> Bool {
        let wanted = headBytes.withUnsafeReadableBytes { bytes in
            Method(bytes[method]) ?? (Method.isForwarded(bytes[method]) ? .other : nil)
        }
        guard let wanted, case .route(let index) = match(wanted, method, isPreflight: true),
            let cors = snapshot.routes[index].cors
        else { return false }
        route = snapshot.routes[index]
        grantOrigin(by: cors)
        let isAllowed = headBytes.withUnsafeReadableBytes { cors.allows(wanted, named: $0[method]) }
        guard originGrant != nil, isAllowed else {
            reject(.forbidden, Problem("origin-not-allowed", status: 403, detail: "this origin may not do this"))
            return true
        }
        answer(status: 204, reason: "No Content", fields: cors.preflightFields, body: [])
        return true
    }

    /// The principal, if one is needed, is known: what is left is whether it may, how often, and the forwarding.
    func authenticated() {
        guard let route, !isOver else { return }
        guard authorise(for: route), limitAfterAuthentication() else { return }
        proceed()
    }

    /// It may be answered: from what is kept, or by whoever its route leads to.
    func proceed() {
        guard let route else { return }
        if let policy = route.cache, answerFromCache(policy) { return }
        forward(by: route)
    }

    /// Hands the request to where its route goes.
    func forward(by route: CompiledRoute) {
        if enter(route) { dispatch(by: route) }
    }

    /// The request has its place.
    func dispatch(by route: CompiledRoute) {
        if let mirror = route.mirror { beginMirror(mirror) }
        switch route.destination {
        case .pool(let pool): forward(to: pool)
        case .split(let parts):
            let place = Int.random(in: 0..<max(1, parts.last?.upTo ?? 1), using: &worker.random)
            if let part = parts.first(where: { place < $0.upTo }) { forward(to: part.pool) }
        case .redirect(let redirect): self.redirect(redirect)
        case .handler(let handler):
            responder = .handler(HandlerCall(handler, exchange: self))
            beginBody()
        case .gathering(let plan):
            responder = .gathering(Gathering(plan, exchange: self))
            beginBody()
        }
    }

    /// Hands over the body to whoever answers in this process: what of it there is already, and what comes.
    private func beginBody() {
        guard bodyEnded else {
            askForBody()
            return client.pumpBody()
        }
        if let replay { requestBody(replay, count: replay.readableBytes) }
        requestBodyEnd()
    }

    func forward(to pool: UpstreamPool) {
        self.pool = pool
        if enter(pool) { attempt(pool) }
    }

    /// What decides which server a request goes to, where a key does.
    func balancingKey(_ key: Upstream.LoadBalancing.Key) -> UInt64 {
        headBytes.withUnsafeReadableBytes { bytes in
            switch key {
            case .address: return Balancer.hash(client.address.utf8)
            case .principal: return Balancer.hash((principal?.principal.subject ?? client.address).utf8)
            case .path: return Balancer.hash(bytes[head.path])
            case .header(let name):
                let name = name.utf8.map(lowercased)
                let field = fields.first { field in
                    bytes[field.name].equalsIgnoringCase(name)
                }
                return field.map { Balancer.hash(bytes[$0.value]) } ?? Balancer.hash(client.address.utf8)
            }
        }
    }

    // MARK: The request's body

    /// Whether there is somewhere for the body to go, and room.
    var takesBody: Bool {
        switch responder {
        case .none: false
        case .upstream(let connection): connection.isWritable
        case .handler, .gathering, .signedBody: true
        }
    }

    /// Asks for a body that the client holds back until it is wanted.
    func askForBody() {
        guard needsContinue else { return }
        needsContinue = false
        if client.awaitsBody { client.sendContinue() }
    }

    /// A piece of the body; `count` is the length of all pieces so far.
    func requestBody(_ slice: ByteBuffer, count: Int) {
        if let route, count > route.maximumBodyBytes {
            cancelResponder()
            if status == 0 { rejectBody() } else { fail() }
            return
        }
        if mirrorBody != nil { collectForMirror(slice) }
        switch responder {
        case .none: break
        case .upstream(let connection):
            keepForReplay(slice)
            writeRequestBody(slice, to: connection)
        case .handler(let call): call.append(slice)
        case .gathering(let gathering): gathering.append(slice)
        case .signedBody(let body, let limit):
            guard !body.append(slice, upTo: limit) else { break }
            responder = .none
            rejectBody()
        }
    }

    func flushRequest() {
        if case .upstream(let connection) = responder { connection.flush() }
    }

    func requestBodyEnd() {
        bodyEnded = true
        if mirrorBody != nil { endOfBodyForMirror() }
        switch responder {
        case .none: break
        case .upstream(let connection): endRequest(on: connection)
        case .handler(let call): call.run()
        case .gathering(let gathering): gathering.run()
        case .signedBody(let body, _): signedBodyEnded(body)
        }
    }

    /// The body breaks its framing.
    func requestBodyFailed(_ error: CodecError) {
        cancelResponder()
        client.stopKeepingAlive()
        guard status == 0 else { return fail() }
        reject(.malformed, Problem("malformed-request", status: error.status, detail: error.reason.description))
    }

    func rejectBody() {
        client.stopKeepingAlive()
        reject(
            .bodyTooLarge,
            Problem("body-too-large", status: 413, detail: CodecError.bodyTooLarge.reason.description))
    }

    // MARK: The end

    /// The answer is out.
    func finish() {
        guard !isOver else { return }
        end(brokeOff: false)
        if !isCopy { client.exchangeFinished() }
    }

    /// The answer broke off; the client sees its connection end.
    func fail() {
        guard !isOver else { return }
        fill?.hasFailed = true
        cancelResponder()
        end(brokeOff: true)
        client.abort()
    }

    /// There is nobody to answer any more.
    func clientGone() {
        guard !isOver else { return }
        cancelResponder()
        end(brokeOff: !answerIsRefused)
    }

    /// The answer's head is more than the client's protocol carries: what it has got, and will get no more of, is a 502.
    func answerRefused() {
        guard !isOver else { return }
        answerIsRefused = true
        status = 502
        worker.counters.rejected[.upstream, default: 0] += 1
    }

    func deadlineReached(_ detail: String = "no answer came within the route's timeout") {
        guard !isOver else { return }
        if !isCopy { worker.counters.timeouts += 1 }
        if case .gathering(let gathering) = responder, gathering.deadlineReached() { return }
        report(.failure)
        if status == 0, case .upstream(let connection) = responder {
            connection.pool.observe(connection.server, status: nil, since: attemptStarted)
            observeLatency(connection.pool, status: nil)
            connection.suspect()
        }
        cancelResponder()
        guard status == 0 else { return fail() }
        reject(.timeout, Problem("deadline-exceeded", status: 504, detail: detail))
    }

    /// Nothing has gone either way for as long as a stream may be idle; false if the route's timeout is what ends it.
    func idled() -> Bool {
        guard !isOver else { return true }
        guard status == 0 else {
            worker.counters.timeouts += 1
            fail()
            return true
        }
        if !client.requestIsComplete, takesBody {
            worker.counters.timeouts += 1
            cancelResponder()
            client.stopKeepingAlive()
            reject(
                .timeout, Problem("request-timeout", status: 408, detail: "the request's body did not arrive in time"))
            return true
        }
        guard deadline == nil else { return false }
        deadlineReached("the service has been silent for too long")
        return true
    }

    func clientWritabilityChanged() {
        switch responder {
        case .none: break
        case .upstream(let connection): connection.clientWritabilityChanged()
        case .handler(let call): call.clientWritabilityChanged()
        case .gathering, .signedBody: break
        }
    }

    /// Leaves whoever was to answer.
    func cancelResponder() {
        ticket += 1
        if let backoff { worker.cancel(backoff) }
        dropHedge()
        switch responder {
        case .none: break
        case .upstream(let connection): connection.abandon()
        case .handler(let call): call.cancel()
        case .gathering(let gathering): gathering.cancel()
        case .signedBody: break
        }
        responder = .none
    }

    private func end(brokeOff: Bool) {
        isOver = true
        ticket += 1
        permit = nil
        replay = nil
        dropHedge()
        leaveLimits()
        endFill(brokeOff: brokeOff)
        guard !isCopy else {
            let tell = onCopyEnd
            onCopyEnd = nil
            tell?()
            return
        }
        record(brokeOff: brokeOff)
    }
}
