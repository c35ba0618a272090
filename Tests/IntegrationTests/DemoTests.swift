import Foundation
import Testing

/// The demo, which checks the shop's books: what it must find in order, also after kills, and what it must find wrong.
extension IntegrationTests {
    @Suite struct Demo {
        /// The shop in a folder of its own, driven by the demo.
        private func demo(
            in shop: RunningShop, orders: Int = 80, kills: Int = 0, environment: [String: String] = [:]
        ) async throws -> Shell.Result {
            try await Shell.run(
                Checkout.program("shop-demo"),
                [
                    "--shop", Checkout.program("shop"), "--config", "platform.yaml", "--orders", "\(orders)", "--kills",
                    "\(kills)", "--once",
                ], in: shop.folder.path,
                environment: [
                    "GATEWAY_PORT": "\(shop.gatewayPort)", "PAYMENTS_PORT": "\(shop.paymentsPort)",
                    "MODULE_PORT": "\(Ports.next())", "MAIN_PORT": "\(Ports.next())",
                ].merging(environment) { $1 }, limit: .seconds(180))
        }

        @Test("In bad weather the books balance, and two orders are told step by step")
        func balances() async throws {
            let shop = try RunningShop()
            let result = try await demo(in: shop, orders: 150)
            #expect(result.status == 0, "\(result.all)")
            for text in [
                "A confirmed order", "A compensated order", "trace ", "reserve stock", "charge payment", "confirmed ",
                "compensated ", "retries ", "breaker ", "p50", "The books balance",
            ] { #expect(result.output.contains(text), "no '\(text)' in\n\(result.all)") }

            // State persists: the second run begins with the books of the first.
            let second = try await demo(in: shop, orders: 20)
            #expect(second.status == 0, "\(second.all)")
        }

        @Test("Nodes killed at random moments: every invariant holds when they are back")
        func killed() async throws {
            let shop = try RunningShop()
            let result = try await demo(in: shop, orders: 400, kills: 8)
            #expect(result.status == 0, "\(result.all)")
            #expect(result.output.contains("kill 8 of 8"))
            #expect(result.output.contains("The books balance"))
        }

        @Test(
            "A planted mistake makes the demo fail",
            arguments: [
                ("double-charge", "were charged"), ("lost-refund", "not given back"),
            ])
        func planted(bug: String, finding: String) async throws {
            let shop = try RunningShop()
            let result = try await demo(in: shop, orders: 250, environment: ["SHOP_BUG": bug])
            #expect(result.status == 1, "\(result.all)")
            #expect(result.output.contains(finding), "\(result.all)")
        }

        @Test("A read model that skips events makes the demo fail")
        func skipped() async throws {
            let shop = try RunningShop()
            #expect(try await demo(in: shop, orders: 20).status == 0)
            // The next events that confirm an order find no effect in the view, though its cursor passes them.
            let plant = """
                import glob, sqlite3
                [path] = glob.glob("data/**/orders*.db", recursive=True)
                db = sqlite3.connect(path)
                db.execute("CREATE TRIGGER skip BEFORE UPDATE ON order_views WHEN NEW.status = 'confirmed' "
                    "BEGIN SELECT RAISE(IGNORE); END")
                db.commit()
                """
            let planting = try await Shell.run("python3", ["-"], in: shop.folder.path, input: plant)
            #expect(planting.status == 0, "\(planting.all)")
            let result = try await demo(in: shop, orders: 20)
            #expect(result.status == 1, "\(result.all)")
            #expect(result.output.contains("pending in the read model"), "\(result.all)")
        }

        @Test("inventory moves to a node of its own by the configuration alone")
        func moved() async throws {
            try await move("inventory")
        }

        @Test("users, who listen to orders, move to a node of their own by the configuration alone")
        func listenerMoved() async throws {
            // Where they listen to has to be reachable; the books count one mail for each order.
            try await move("users", main: "    listen: \"127.0.0.1:${MAIN_PORT}\"\n")
        }

        /// Runs the demo, with kills, while a module of the main node has a node of its own.
        private func move(_ module: String, main: String = "") async throws {
            let all = ["users", "products", "orders", "inventory", "returns"]
            let shop = try RunningShop { yaml in
                yaml.replacing(
                    "    modules: [\(all.joined(separator: ", "))]\n",
                    with: "    modules: [\(all.filter { $0 != module }.joined(separator: ", "))]\n" + main
                ).replacing(
                    "  payments:\n    modules: [payments]",
                    with: """
                          \(module):
                            modules: [\(module)]
                            listen: "127.0.0.1:${MODULE_PORT}"
                            store: { engine: sqlite, path: data/\(module).db }
                          payments:
                            modules: [payments]
                        """, maxReplacements: 1)
            }
            let result = try await demo(in: shop, orders: 100, kills: 3)
            #expect(result.status == 0, "\(result.all)")
            #expect(result.output.contains("The books balance"))
            #expect(FileManager.default.fileExists(atPath: "\(shop.folder.path)/data/\(module).db"))
        }
    }
}
