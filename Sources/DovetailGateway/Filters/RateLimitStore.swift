import DovetailCore
import DovetailResilience
import NIOCore
import Synchronization

/// Where several gateways count together what they let through.
///
/// A gateway without one counts by itself, exactly for its process and without waiting. With one, each request of a route that has a limit waits for the
/// store's word. If the store throws, the gateway counts by itself until it answers again: so with `n` gateways at most `n` times the rate passes meanwhile.
public protocol RateLimitStore: Sendable {
    /// Takes one of what `limit` allows to `key`, if there is one; it is not used up by what may not pass.
    ///
    /// The decision has to be atomic, and made by one clock, the store's: gateways whose clocks differ would fill the limit up again each time they take
    /// turns. It is called off the event loops, and should give up by itself: the request waits no longer than its route's timeout.
    /// - Parameters:
    ///   - key: Who it is counted for: an address, a principal, a header's value. The same in all gateways.
    ///   - limit: How much.
    ///   - route: The route that has the limit: its counts are its own.
    func take(_ key: String, of limit: RateLimit, on route: String) async throws -> RateLimitDecision
}

/// A store in this process: for gateways that share one, and for tests.
public final class ProcessRateLimitStore: RateLimitStore {
    private let limiters = Mutex<[String: (limit: RateLimit, limiter: RateLimiter)]>([:])

    /// An empty store.
    public init() {}

    public func take(_ key: String, of limit: RateLimit, on route: String) async throws -> RateLimitDecision {
        let limiter = limiters.withLock { limiters in
            if let known = limiters[route], known.limit == limit { return known.limiter }
            let limiter = RateLimiter(limit)
            limiters[route] = (limit, limiter)
            return limiter
        }
        return limiter.take(RateLimitKey(key), at: .now)
    }
}

extension Exchange {
    /// Has the store decide, and goes on when it has.
    func ask(
        _ store: any RateLimitStore, for key: String, of limit: CompiledLimit, otherwise local: RateLimitKey,
        then goOn: @escaping (Exchange) -> Void
    ) {
        let (loop, route) = (worker.loop, limit.route)
        let parked = NIOLoopBound((exchange: self, limit: limit, goOn: goOn), eventLoop: loop)
        let amount = limit.limiter.limit
        Task.detached {
            let decision = try? await store.take(key, of: amount, on: route)
            loop.execute {
                let (exchange, limit, goOn) = parked.value
                guard !exchange.isOver else { return }
                let client = exchange.client
                if exchange.admit(decision ?? limit.limiter.take(local, at: .now), by: limit) { goOn(exchange) }
                // After a wait there is no read event that would flush.
                client.flush()
            }
        }
    }
}
