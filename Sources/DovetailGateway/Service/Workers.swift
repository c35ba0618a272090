import NIOCore

/// The loops of a running gateway, which change together or not at all.
struct Workers: Sendable {
    let all: [NIOLoopBound<Worker>]
    private let shared: SharedState

    init(_ all: [NIOLoopBound<Worker>], sharing shared: SharedState) {
        self.all = all
        self.shared = shared
    }

    /// Has every loop serve by a configuration whose servers are resolved; if one of them cannot, each goes on by the one that it has.
    ///
    /// - Parameter confirm: What else can fail, when all loops are ready; nothing has changed if it does.
    func apply(
        _ configuration: GatewayConfiguration, verifiers: [String: JWTVerifier],
        confirm: () throws(GatewayConfigurationError) -> Void = {}
    ) async throws(GatewayConfigurationError) {
        let before = shared.remembered
        do throws(GatewayConfigurationError) {
            for worker in all {
                let result: Result<Void, GatewayConfigurationError>? = try? await worker.eventLoop.submit {
                    do throws(GatewayConfigurationError) {
                        return .success(try worker.value.prepare(configuration, verifiers: verifiers))
                    } catch {
                        return .failure(error)
                    }
                }.get()
                try result?.get()
            }
            try confirm()
        } catch {
            for worker in all { try? await worker.eventLoop.submit { worker.value.discardPrepared() }.get() }
            shared.restore(before)
            throw error
        }
        for worker in all { try? await worker.eventLoop.submit { worker.value.takeOver() }.get() }
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
