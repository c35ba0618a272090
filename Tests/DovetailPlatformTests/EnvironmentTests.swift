import DovetailPlatform
import Testing

@Suite struct EnvironmentTests {
    private let secret = "hunter2-hunter2-hunter2-hunter2-hunter2"

    private func jwt(_ secret: String) -> String {
        minimal(
            "gateway: { node: main, authentication: { users: { jwt: { issuer: i, audience: a, algorithms: [HS256], secret: \"\(secret)\" } } } }"
        )
    }

    @Test func readsVariables() throws {
        let platform = try parse(
            minimal(
                "upstreams: { legacy: { servers: [\"http://${HOST}:${PORT:-3000}\"], connections: \"${COUNT}\" } }"),
            environment: ["HOST": "10.0.0.5", "COUNT": "7"])
        #expect(platform.upstreams["legacy"]?.servers.first?.url.description == "http://10.0.0.5:3000")
        #expect(platform.upstreams["legacy"]?.connections == 7)
    }

    @Test func saysWhichVariableIsMissing() {
        #expect(
            issues(in: jwt("${JWT_SECRET}")) == [
                "platform.yaml:4:111: gateway.authentication.users.jwt.secret: the environment variable JWT_SECRET is not set; set it, or write ${JWT_SECRET:-default}"
            ])
    }

    @Test(arguments: [
        ("${}", "\"\" is no variable's name: expected ${NAME} or ${NAME:-default}"),
        ("${1A}", "\"1A\" is no variable's name: expected ${NAME} or ${NAME:-default}"),
        ("${A", "a variable is not closed: expected ${NAME} or ${NAME:-default}"),
    ])
    func refusesWhatIsNoVariable(_ text: String, _ message: String) {
        #expect(issues(in: jwt(text)) == ["platform.yaml:4:111: gateway.authentication.users.jwt.secret: \(message)"])
    }

    @Test func saysThatAVariableInBracesNeedsQuotes() {
        #expect(
            issues(in: minimal("security: { nodeToken: ${TOKEN} }")) == [
                "platform.yaml:4:25: not YAML: did not find expected ',' or '}'; in braces or brackets ${NAME} needs quotes"
            ])
    }

    @Test func leavesAnEscapedVariableAlone() throws {
        let text = minimal(
            "gateway: { node: main, authentication: { users: { jwt: { issuer: \"$${A}\", audience: \"$5\", algorithms: [ES256], publicKey: k } } } }"
        )
        guard case .jwt(let jwt)? = try parse(text).gateway?.authentication["users"] else {
            Issue.record("no JWT")
            return
        }
        #expect(jwt.issuer == "${A}")
        #expect(jwt.audience == "$5")
    }

    @Test func takesAnOptionalEmptyVariableForNothing() throws {
        #expect(try parse(minimal("security: { nodeToken: \"${NODE_TOKEN:-}\" }")).security.nodeToken == nil)
        let platform = try parse(minimal("admin: { listen: \"${ADMIN:-}\" }"))
        #expect(platform.admin.listen == .unix(path: "data/admin.sock"))
    }

    @Test func neverShowsWhatCameFromTheEnvironment() {
        let environment = ["A": "hunter2", "B": "hunter2hunter2"]
        let found = issues(
            in: """
                version: "${A}"
                platform: "x ${A}"
                nodes: { main: { modules: ["${A} ${B}"], listen: "${B}" } }
                policies: { p: { timeout: "${A}", extends: "${B}" } }
                calls: { x: "${B}" }
                """, environment: environment)
        #expect(found.count >= 6)
        #expect(!found.joined().contains("hunter2"))
        #expect(found.contains { $0.hasSuffix("found the value of ${A} (not shown)") })
        #expect(found.contains { $0.contains("found the value of ${A} and ${B} (not shown)") })
    }

    @Test func neverShowsASecret() throws {
        let platform = try parse(jwt("${S}"), environment: ["S": secret])
        #expect(!"\(platform)".contains("hunter2"))
        var dumped = ""
        dump(platform, to: &dumped)
        #expect(!dumped.contains("hunter2"))
        #expect(dumped.contains("(secret)"))
        guard case .jwt(let jwt)? = platform.gateway?.authentication["users"], case .secret(let read) = jwt.keys else {
            Issue.record("no secret")
            return
        }
        #expect(read.revealed == secret)
    }
}
