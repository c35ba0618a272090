import DovetailCore
import DovetailResilience
import Synchronization
import Testing

@testable import DovetailGateway

/// A store that is away until it is there.
private final class FickleStore: RateLimitStore {
    struct Away: Error {}
    let isThere = Mutex(true)
    let asked = Recorded<String>()
    private let store = ProcessRateLimitStore()

    func take(_ key: String, of limit: RateLimit, on route: String) async throws -> RateLimitDecision {
        asked.append("\(route) \(key)")
        guard isThere.withLock({ $0 }) else { throw Away() }
        return try await store.take(key, of: limit, on: route)
    }
}

@Suite(.timeLimit(.minutes(1)))
struct RateLimitStoreTests {
    private func limited(by subject: Route.RateLimitSubject) throws -> GatewayConfiguration {
        GatewayConfiguration(
            listen: .init(port: 0),
            routes: [
                Route(
                    id: "r", path: try PathPattern("/x"),
                    authentication: subject == .principal ? .named("keys") : .none,
                    rateLimits: [.init(RateLimit(3, per: .seconds(3600)), by: subject)],
                    destination: .handler(EchoHandler()))
            ],
            authenticators: [
                "keys": .apiKeys(header: "X-Key", [.init(subject: "ann", secret: "a-secret-of-ann")])
            ], timeouts: .init(drain: .seconds(10)))
    }

    @Test(arguments: [Route.RateLimitSubject.address, .principal, .header("x-tenant"), .route])
    func gatewaysThatShareAStoreCountTogether(_ subject: Route.RateLimitSubject) async throws {
        let store = FickleStore()
        let fields = ["X-Key: a-secret-of-ann", "X-Tenant: acme"]
        try await withGateway(try limited(by: subject), rateLimits: store) { one in
            try await withGateway(try limited(by: subject), rateLimits: store) { other in
                var statuses: [Int?] = []
                for gateway in [one, other, one, other, one] {
                    statuses.append(try await gateway.get("/x", fields: fields)?.status)
                }
                #expect(statuses == [200, 200, 200, 429, 429])
                let last = try await other.get("/x", fields: fields)
                #expect(last?.value("ratelimit")?.contains(";r=0;t=") == true)
                #expect(last?.value("retry-after") != nil)
            }
        }
        let key =
            switch subject {
            case .route: "route"
            case .address: "127.0.0.1"
            case .principal: "keys\nann"
            case .header: "acme"
            }
        #expect(Set(store.asked.all) == ["r \(key)"])
    }

    /// Each of several limits has counts of its own, and the store is asked about one after the other.
    @Test func aStoreCountsEachOfSeveralLimits() async throws {
        let store = FickleStore()
        var configuration = try limited(by: .address)
        configuration.routes[0].rateLimits = [
            .init(RateLimit(1, per: .seconds(3600)), by: .route),
            .init(RateLimit(5, per: .seconds(3600)), by: .address),
        ]
        try await withGateway(configuration, rateLimits: store) { gateway in
            var statuses: [Int?] = []
            for _ in 0..<2 { statuses.append(try await gateway.get("/x")?.status) }
            #expect(statuses == [200, 429])
        }
        #expect(
            store.asked.all
                == Array(repeating: ["r by address 127.0.0.1", "r by route route"], count: 2).flatMap { $0 })
    }

    @Test func aGatewayCountsByItselfWhileItsStoreIsAway() async throws {
        let store = FickleStore()
        store.isThere.withLock { $0 = false }
        try await withGateway(try limited(by: .address), rateLimits: store) { gateway in
            var statuses: [Int?] = []
            for _ in 0..<4 { statuses.append(try await gateway.get("/x")?.status) }
            store.isThere.withLock { $0 = true }
            statuses.append(try await gateway.get("/x")?.status)
            #expect(statuses == [200, 200, 200, 429, 200])
        }
    }
}
