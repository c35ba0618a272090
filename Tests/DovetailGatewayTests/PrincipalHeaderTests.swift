import DovetailCore
import Testing

@testable import DovetailGateway

/// Servers that are no nodes of the platform are told who calls, and by nobody else.
@Suite(.timeLimit(.minutes(1)))
struct PrincipalHeaderTests {
    private let headers = PrincipalHeaders(
        subject: "X-User", authenticator: "X-Known-By", scopes: "X-Scopes", claims: ["tenant": "X-Tenant"])

    private func settings(_ backend: Backend, _ headers: PrincipalHeaders?, _ routes: [Route]) -> GatewayConfiguration {
        var settings = configuration(backend, routes: routes) { $0.principalHeaders = headers }
        settings.authenticators = [
            "keys": .apiKeys(
                header: "X-Key",
                [
                    .init(
                        subject: "Ann \u{e9} 5%\r\nX: 1", secret: "a-secret-of-ann", scopes: ["b", "a"],
                        claims: ["tenant": ["acme"]]),
                    .init(subject: "bob", secret: "a-secret-of-bob"),
                ])
        ]
        return settings
    }

    private func guarded(_ path: String = "/x") throws -> Route {
        Route(id: path, path: try PathPattern(path), authentication: .named("keys"), destination: .http("u"))
    }

    private let forged = ["X-User: root", "x-scopes: admin", "X-Tenant: other", "X-Known-By: me"]

    private func server(_ fields: String = "") async throws -> Backend {
        try await Backend { request in
            let body = request.value("x-user") ?? "nobody"
            return [.send("HTTP/1.1 200 OK\r\n\(fields)Content-Length: \(body.utf8.count)\r\n\r\n\(body)")]
        }
    }

    @Test func serversAreToldWhoCallsInTheHeadersOfTheFile() async throws {
        let backend = try await server()
        try await withGateway(settings(backend, headers, [try guarded()])) { gateway in
            _ = try await gateway.get("/x", fields: forged + ["X-Key: a-secret-of-ann"])
            let seen = try #require(backend.requests.all.last)
            #expect(seen.values("x-user") == [" Ann %C3%A9 5%25%0D%0AX: 1"].map { $0.trimmingPrefix(" ").description })
            #expect(seen.values("x-known-by") == ["keys"])
            #expect(seen.values("x-scopes") == ["a b"])
            #expect(seen.values("x-tenant") == ["acme"])
            #expect(seen.value("x") == nil)
            // Of whom less is known less is said, and nothing of the client's takes its place.
            _ = try await gateway.get("/x", fields: forged + ["X-Key: a-secret-of-bob"])
            let other = try #require(backend.requests.all.last)
            #expect(other.values("x-user") == ["bob"])
            #expect(other.value("x-tenant") == nil)
        }
        await backend.stop()
    }

    @Test func whatClientsSendUnderTheseNamesGoesWhoeverTheyAre() async throws {
        let backend = try await server()
        var settings = settings(backend, headers, [try route("open", "/open")])
        settings.underscores = .forwarded
        try await withGateway(settings) { gateway in
            let answer = try await gateway.get("/open", fields: forged + ["X_User: root"])
            #expect(answer?.text == "nobody")
            let seen = try #require(backend.requests.all.last)
            for name in ["x-user", "x_user", "x-scopes", "x-tenant", "x-known-by"] {
                #expect(seen.value(name) == nil, "\(name)")
            }
        }
        await backend.stop()
    }

    @Test func nobodyIsToldUnlessTheFileSaysSo() async throws {
        let backend = try await server()
        try await withGateway(settings(backend, nil, [try guarded()])) { gateway in
            let answer = try await gateway.get("/x", fields: ["X-Key: a-secret-of-ann"])
            #expect(answer?.text == "nobody")
        }
        await backend.stop()
    }

    /// An answer that depends on who asks is one client's, whatever the clients' own fields say.
    @Test func whatDependsOnWhoAsksIsNotKept() async throws {
        let backend = try await server("Cache-Control: public, max-age=60\r\nVary: X-User\r\n")
        var kept = try guarded()
        kept.cache = CachePolicy()
        try await withGateway(settings(backend, headers, [kept])) { gateway in
            let ann = try await gateway.get("/x", fields: ["X-Key: a-secret-of-ann"])
            let bob = try await gateway.get("/x", fields: ["X-Key: a-secret-of-bob"])
            #expect(ann?.text.hasPrefix("Ann") == true)
            #expect(bob?.text == "bob")
        }
        await backend.stop()
    }

    @Test(arguments: [
        PrincipalHeaders(), PrincipalHeaders(subject: "X-A", scopes: "x-a"), PrincipalHeaders(subject: "Host"),
        PrincipalHeaders(subject: "Authorization"), PrincipalHeaders(subject: "a b"),
        PrincipalHeaders(claims: ["a": "Dovetail-Principal"]),
    ])
    func headersThatCannotBeAreRefused(_ headers: PrincipalHeaders) async throws {
        let backend = try await server()
        #expect(throws: GatewayConfigurationError.self) { try settings(backend, headers, []).validate() }
        await backend.stop()
    }
}
