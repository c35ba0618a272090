import DovetailPlatform
import Testing

@Suite struct CrossCheckTests {
    private func platform(nodes: String, more: String = "") -> String {
        "version: 1\nplatform: shop\nnodes:\n" + nodes + more
    }

    @Test func placesEveryModuleOnOneNode() {
        let text = platform(
            nodes: """
                  a: { modules: [users, orders, orders] }
                  b: { modules: [users, product], store: { path: data/a.db } }

                """)
        #expect(
            issues(in: text, modules: modules) == [
                "platform.yaml:4:3: nodes: module 'inventory' of the program is on no node; add it to one node's 'modules'",
                "platform.yaml:4:3: nodes: module 'payments' of the program is on no node; add it to one node's 'modules'",
                "platform.yaml:4:3: nodes: module 'products' of the program is on no node; add it to one node's 'modules'",
                "platform.yaml:4:33: nodes.a.modules[2]: module 'orders' is twice on this node; a module runs in one place",
                "platform.yaml:5:18: nodes.b.modules[0]: module 'users' is on node 'a' too; a module runs in one place",
                "platform.yaml:5:25: nodes.b.modules[1]: no module of the program is named \"product\"; did you mean 'products'?",
                "platform.yaml:5:50: nodes.b.store.path: node 'a' has its log in this file; each node has a log of its own",
            ])
    }

    @Test func findsTheContractsOfRoutes() {
        let text = sketch.replacing("orders@1", with: "orders@2").replacing("products@1", with: "prodcts@1")
        #expect(
            issues(in: text, modules: modules) == [
                "platform.yaml:13:17: gateway.routes[0].contract: no module provides the contract orders@2; there is orders@1",
                "platform.yaml:17:17: gateway.routes[1].contract: no module provides the contract prodcts@1; there is products@1",
            ])
    }

    @Test func keepsListenersApart() {
        let text = platform(
            nodes: """
                  a: { modules: [users], listen: 127.0.0.1:8080 }
                  b: { modules: [orders], listen: ":9000", url: http://b:9000 }
                  c: { modules: [products], listen: "localhost:8080" }

                """,
            more: """
                gateway: { node: a }
                telemetry: { prometheus: { listen: 127.0.0.1:9000 } }
                security: { nodeToken: 0123456789abcdef }
                """)
        #expect(
            issues(in: text) == [
                "platform.yaml:4:34: nodes.a.listen: 127.0.0.1:8080 is what gateway.listen listens on too",
                "platform.yaml:6:37: nodes.c.listen: localhost:8080 is what nodes.a.listen listens on too",
                "platform.yaml:8:36: telemetry.prometheus.listen: 127.0.0.1:9000 is what nodes.b.listen listens on too",
            ])
    }

    @Test func letsNodesOnDifferentMachinesListenAlike() {
        let text = platform(
            nodes: """
                  a: { modules: [users], listen: ":9000", url: http://a:9000 }
                  b: { modules: [orders], listen: ":9000", url: http://b:9000 }

                """, more: "security: { nodeToken: 0123456789abcdef }")
        #expect(issues(in: text) == [])
    }

    @Test func asksForATokenBeyondTheMachine() {
        let text = platform(
            nodes: """
                  a: { modules: [users], listen: 10.0.0.1:9000 }
                  b: { modules: [orders], listen: "[::]:9001" }

                """)
        #expect(
            issues(in: text) == [
                "platform.yaml:4:34: nodes.a.listen: a node that listens beyond its machine needs 'security.nodeToken'",
                "platform.yaml:5:35: nodes.b.listen: a node that listens beyond its machine needs 'security.nodeToken'",
                "platform.yaml:5:35: nodes.b.listen: the other nodes cannot call [::]:9001; say in 'url' how they reach it",
            ])
    }

    @Test(arguments: ["127.0.0.1:1", "127.8.9.1:65535", "[::1]:80", "localhost:80", "unix:x"])
    func knowsItsOwnMachine(_ text: String) throws {
        #expect(try #require(ListenAddress(text)).isLocal)
        #expect(ListenAddress(text)?.description == text)
    }

    @Test(arguments: [
        "", ":", "8080", "host:", "host:0", "host:65536", "host:+80", "::1:80", "[::1]", "[x]:80", "a b:80", "unix:",
        "host:80 ", "[]:80", "1.2.3.4:８０",
    ])
    func refusesWhatIsNoAddress(_ text: String) {
        #expect(ListenAddress(text) == nil)
    }
}
