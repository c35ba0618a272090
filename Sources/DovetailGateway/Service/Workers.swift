import NIOCore

/// The loops of a running gateway, which change together or not at all.
struct Workers: Sendable {
    let all: [NIOLoopBound<Worker>]
    private let shared: SharedState

    init(_ all: [NIOLoopBound<Worker>], sharing shared: SharedState) {
        self.all = all
        self.shared = shared
    }

    /// Routes that a loop compiles before it serves again.
    private static let routesAtATime = 128

    /// Has every loop serve by a configuration whose servers are resolved; if one of them cannot, each goes on by the one that it has.
    ///
    /// What finds the routes is made off the loops, one for each, so that they share no reference count; the loops compile the routes some at a time.
    /// - Parameters:
    ///   - keepsRoutes: Whether the routes are the same as now.
    ///   - confirm: What else can fail, when all loops are ready; nothing has changed if it does.
    func apply(
        _ configuration: GatewayConfiguration, verifiers: [String: JWTVerifier], keepsRoutes: Bool = false,
        confirm: () throws(GatewayConfigurationError) -> Void = {}
    ) async throws(GatewayConfigurationError) {
        let before = shared.remembered
        do throws(GatewayConfigurationError) {
            for worker in all {
                let router = keepsRoutes ? nil : await Workers.router(configuration.routes)
                try await Workers.on(worker) { worker throws(GatewayConfigurationError) in
                    try worker.prepare(configuration, router: router, verifiers: verifiers)
                }
                var isReady = false
                while !isReady {
                    isReady =
                        try await Workers.on(worker) { worker throws(GatewayConfigurationError) in
                            try worker.prepareRoutes(atMost: Workers.routesAtATime)
                        } ?? true
                }
            }
            try confirm()
        } catch {
            for worker in all { try? await worker.eventLoop.submit { worker.value.discardPrepared() }.get() }
            shared.restore(before)
            throw error
        }
        for worker in all { try? await worker.eventLoop.submit { worker.value.takeOver() }.get() }
    }

    @concurrent private static func router(_ routes: [Route]) async -> Router { Router(routes) }

    /// Has a loop do something; nil of one that has ended.
    @discardableResult
    private static func on<Value: Sendable>(
        _ worker: NIOLoopBound<Worker>,
        _ body: @escaping @Sendable (Worker) throws(GatewayConfigurationError) -> Value
    ) async throws(GatewayConfigurationError) -> Value? {
        let result: Result<Value, GatewayConfigurationError>? = try? await worker.eventLoop.submit {
            do throws(GatewayConfigurationError) {
                return .success(try body(worker.value))
            } catch {
                return .failure(error)
            }
        }.get()
        return try result?.get()
    }

    /// The counters of each loop as they stand; none of a loop that has ended.
    func metrics() async -> [GatewayMetrics] {
        var metrics: [GatewayMetrics] = []
        for worker in all {
            if let part = try? await worker.eventLoop.submit({ worker.value.currentMetrics() }).get() {
                metrics.append(part)
            }
        }
        return metrics
    }

    /// Lets requests in flight finish, for `time`; then closes what is left. The counters of each loop at its end.
    func drain(within time: Duration) async -> [GatewayMetrics] {
        let limits = all.map { worker in
            worker.eventLoop.scheduleTask(in: .nanoseconds(time.wholeNanoseconds)) { worker.value.closeAll() }
        }
        for worker in all {
            await withCheckedContinuation { continuation in
                worker.eventLoop.execute { worker.value.drain { continuation.resume() } }
            }
        }
        for limit in limits { limit.cancel() }
        for worker in all { try? await worker.eventLoop.submit { worker.value.closeAll() }.get() }
        return await metrics()
    }
}
