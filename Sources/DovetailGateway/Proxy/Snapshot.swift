import DovetailCore
import DovetailResilience

/// A configuration as one loop uses it: routes compiled, pools and limiters at hand.
///
/// Each loop compiles its own, so that no reference count is shared between loops. It never changes.
final class Snapshot {
    let configuration: GatewayConfiguration
    let router: Router
    /// How long a client may take with a head, and between two requests, in nanoseconds.
    let headTimeout: Int64
    let idleTimeout: Int64
    /// How long a stream may be idle, in nanoseconds; nil for ever.
    let streamTimeout: Int64?
    /// Whether that is less than a client's timer is set for when a request comes: then it is set anew for each request.
    let timesEachRequest: Bool
    /// How large a head may be, and which of its fields go.
    let headLimits: HeadLimits
    let underscores: UnderscoreNames
    let routes: [CompiledRoute]
    let pools: [String: UpstreamPool]
    /// The policy of what no route takes.
    let cors: CompiledCORS?
    /// Whether any route keeps answers.
    let hasCache: Bool
    /// What the gateway takes on in all, where that concerns requests.
    let load: LoadLimits?

    private init() {
        hasCache = false
        cors = nil
        load = nil
        configuration = GatewayConfiguration(listen: .init(port: 0), routes: [])
        headTimeout = configuration.timeouts.head.wholeNanoseconds
        idleTimeout = configuration.timeouts.idle.wholeNanoseconds
        streamTimeout = nil
        timesEachRequest = false
        headLimits = configuration.headLimits
        underscores = configuration.underscores
        router = Router([])
        routes = []
        pools = [:]
    }

    static var empty: Snapshot { Snapshot() }

    /// What a draft has come to.
    init(_ draft: SnapshotDraft) {
        let configuration = draft.configuration
        self.configuration = configuration
        headTimeout = configuration.timeouts.head.wholeNanoseconds
        idleTimeout = configuration.timeouts.idle.wholeNanoseconds
        headLimits = configuration.headLimits
        underscores = configuration.underscores
        cors = configuration.cors.map { CompiledCORS($0, methods: []) }
        streamTimeout = configuration.timeouts.stream?.wholeNanoseconds
        timesEachRequest =
            streamTimeout.map { [headTimeout, idleTimeout] in $0 < max(headTimeout, idleTimeout) } ?? false
        load = configuration.load.concernsRequests ? configuration.load : nil
        pools = draft.pools
        hasCache = configuration.routes.contains { $0.cache != nil }
        routes = draft.routes
        router = draft.router
    }
}
