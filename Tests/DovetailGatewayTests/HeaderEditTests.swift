import DovetailCore
import HTTPTypes
import Testing

@testable import DovetailGateway

private struct Answering: RawHandler {
    let seen = Recorded<RawRequest>()
    var streams = false

    func respond(to request: RawRequest) async -> RawResponse {
        seen.append(request)
        var headers: HTTPFields = [.contentType: "application/json", .cacheControl: "max-age=60"]
        for name in ["X-Inner", "X-Kept"] {
            if let name = HTTPField.Name(name) { headers[name] = "1" }
        }
        let body = AsyncThrowingStream<[UInt8], any Error> { continuation in
            continuation.yield(Array("[1]".utf8))
            continuation.finish()
        }
        return RawResponse(status: .ok, headers: headers, body: streams ? .stream(body) : .bytes(Array("[1]".utf8)))
    }
}

/// Whoever answers, a route's changes to headers are made.
@Suite(.timeLimit(.minutes(1)))
struct HeaderEditTests {
    private func edited(_ destination: Route.Destination, _ path: String = "/x") throws -> Route {
        var route = Route(id: path, path: try PathPattern(path), authentication: .none, destination: destination)
        route.responseHeaders = HeaderEdits(set: ["X-Edge": "a"], remove: ["X-Inner"])
        return route
    }

    private func gateway(_ routes: [Route]) -> GatewayConfiguration {
        GatewayConfiguration(listen: .init(port: 0), routes: routes, timeouts: .init(drain: .seconds(10)))
    }

    @Test(arguments: [false, true]) func aModuleInTheProcessIsAskedAndAnswersAsAnyOther(streams: Bool) async throws {
        let handler = Answering(streams: streams)
        var route = try edited(.handler(handler))
        route.requestHeaders = HeaderEdits(set: ["X-Tenant": "acme"], remove: ["Cookie"])
        try await withGateway(gateway([route])) { gateway in
            let answer = try await gateway.get("/x", fields: ["Cookie: a=1", "X-Tenant: other", "X-Own: 1"])
            #expect(answer?.status == 200)
            #expect(answer?.values("x-edge") == ["a"])
            #expect(answer?.values("x-kept") == ["1"])
            #expect(answer?.value("x-inner") == nil)
            let headers = try #require(handler.seen.all.first).headers
            let values = headers.map { "\($0.name.canonicalName): \($0.value)" }
            #expect(values.filter { $0.hasPrefix("x-tenant") } == ["x-tenant: acme"])
            #expect(values.contains("x-own: 1"))
            #expect(!values.contains { $0.hasPrefix("cookie") })
        }
    }

    @Test func whatIsKeptOfAModulesAnswerIsChangedOnce() async throws {
        var route = try edited(.handler(Answering()))
        route.cache = CachePolicy()
        try await withGateway(gateway([route])) { gateway in
            for isHit in [false, true] {
                let answer = try await gateway.get("/x")
                #expect(answer?.value("cache-status")?.contains("hit") == isHit)
                #expect(answer?.values("x-edge") == ["a"])
                #expect(answer?.value("x-inner") == nil)
            }
        }
    }

    @Test func redirectsAndGatheredAnswersAreChangedAndRefusalsAreNot() async throws {
        let plan = AggregatePlan(parts: [.init(name: "a", target: "/part", isRequired: true)])
        var gathered = try edited(.aggregate(plan), "/all")
        gathered.methods = [.get, .head]
        var refusing = try edited(.handler(Answering()), "/refused")
        refusing.addresses = AddressFilter(deny: [try #require(AddressRange("127.0.0.0/8"))])
        refusing.responseHeaders = HeaderEdits(set: ["Cache-Control": "max-age=60", "Content-Type": "text/html"])
        let part = Route(
            id: "part", path: try PathPattern("/part"), authentication: .none, destination: .handler(Answering()))
        try await withGateway(gateway([try edited(.redirect(Redirect(host: "b.test"))), gathered, refusing, part])) {
            gateway in
            let elsewhere = try await gateway.get("/x")
            #expect(elsewhere?.status == 308)
            #expect(elsewhere?.values("x-edge") == ["a"])
            let all = try await gateway.get("/all")
            #expect(all?.status == 200)
            #expect(all?.values("x-edge") == ["a"])
            let refused = try await gateway.get("/refused")
            #expect(refused?.status == 403)
            #expect(refused?.value("cache-control") == nil)
            #expect(refused?.values("content-type") == ["application/problem+json"])
        }
    }
}
