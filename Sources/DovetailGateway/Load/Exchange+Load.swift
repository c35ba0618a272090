import DovetailCore
import NIOCore

/// A request's wait for a place.
final class PlaceWait {
    enum Purpose {
        case route(CompiledRoute)
        case upstream(UpstreamPool)
    }

    let limit: InFlightLimit
    let id: UInt64
    let purpose: Purpose
    let timer = WheelTimer()

    init(_ limit: InFlightLimit, id: UInt64, _ purpose: Purpose) {
        self.limit = limit
        self.id = id
        self.purpose = purpose
    }
}

extension Exchange {
    // MARK: The gateway's own load

    /// Whether the gateway takes the request on; false if it was answered.
    func admitToGateway(_ load: LoadLimits, _ route: CompiledRoute) -> Bool {
        guard !route.isEssential else { return true }
        if let most = load.maximumLoopLag, worker.lag.nanoseconds > most.wholeNanoseconds { return shed() }
        guard let most = load.maximumInFlight else { return true }
        guard worker.shared.load.beginRequest(limit: most) else { return shed() }
        isCounted = true
        return true
    }

    private func shed() -> Bool {
        var problem = Problem("overloaded", status: 503, detail: "the gateway has more to do than it can take on")
        problem.retryAfter = .seconds(1)
        reject(.shed, problem)
        return false
    }

    // MARK: Routes and upstreams

    /// Takes a place for the route; false if the request waits for one, or was answered.
    func enter(_ route: CompiledRoute) -> Bool {
        guard let limit = route.inFlight else { return true }
        if let place = limit.enter() {
            routePlace = consume place
            return true
        }
        wait(for: limit, .route(route))
        return false
    }

    /// Takes a place for the upstream; false if the request waits for one, or was answered.
    func enter(_ pool: UpstreamPool) -> Bool {
        guard let limit = pool.guards.inFlight else { return true }
        if let place = limit.enter() {
            upstreamPlace = consume place
            return true
        }
        // The original does not wait for what is made of it.
        if isCopy { rejectInFlight() } else { wait(for: limit, .upstream(pool)) }
        return false
    }

    private func wait(for limit: InFlightLimit, _ purpose: PlaceWait.Purpose) {
        let (exchange, loop) = (NIOLoopBound(self, eventLoop: worker.loop), worker.loop)
        let id = limit.wait { id in
            loop.execute { exchange.value.placeBecameFree(id, in: limit) }
        }
        guard let id else { return rejectInFlight() }
        let wait = PlaceWait(limit, id: id, purpose)
        wait.timer.onFire = { [weak self] in self?.rejectInFlight() }
        placeWait = wait
        worker.schedule(wait.timer, at: .now + limit.longestWait)
    }

    private func placeBecameFree(_ id: UInt64, in limit: InFlightLimit) {
        // Dropped, it goes to the next one.
        let place = InFlightPlace(limit)
        guard !isOver, let wait = placeWait, wait.id == id, wait.limit === limit else { return }
        placeWait = nil
        worker.cancel(wait.timer)
        switch wait.purpose {
        case .route(let route):
            routePlace = consume place
            dispatch(by: route)
        case .upstream(let pool):
            upstreamPlace = consume place
            attempt(pool)
        }
    }

    private func rejectInFlight() {
        var problem = Problem("overloaded", status: 503, detail: "too many requests are in flight")
        problem.retryAfter = .seconds(1)
        reject(.overloaded, problem)
    }

    /// Gives back what it has taken.
    func leaveLimits() {
        routePlace = nil
        upstreamPlace = nil
        if let wait = placeWait {
            placeWait = nil
            worker.cancel(wait.timer)
            wait.limit.abandon(wait.id)
        }
        if isCounted {
            isCounted = false
            worker.shared.load.endRequest()
        }
    }

    /// Tells an adaptive limit how long an answer took; nil for none in time.
    func observeLatency(_ pool: UpstreamPool, status: Int?) {
        guard let limit = pool.guards.inFlight, limit.isAdaptive else { return }
        let now = MonotonicTime.now
        let isLost = status.map { $0 == 503 || $0 == 429 } ?? true
        limit.observe(isLost ? nil : now - attemptStarted, at: now)
    }
}
