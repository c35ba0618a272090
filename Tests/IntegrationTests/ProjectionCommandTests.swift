import Foundation
import Testing

/// The commands on read models and on what is stored, on a node that runs and on one that does not.
extension IntegrationTests {
    @Suite struct ProjectionCommands {
        @Test(
            "Read models are listed, rebuilt, switched, rolled back and dropped beside the work, each on record; what is stored can be read"
        )
        func commands() async throws {
            try await withShop { shop in
                func ask(_ arguments: String..., status: Int32 = 0) async throws -> String {
                    let result = try await shop.command("projections", with: arguments)
                    #expect(result.status == status, "\(arguments): \(result.all)")
                    return result.all
                }
                let token = try await shop.token()
                let placed = try await Curl.send(
                    "POST", shop.url + "/api/orders", token: token, headers: ["Idempotency-Key: one"],
                    body: #"{"lines":[{"productID":"dowel","quantity":1}]}"#)
                #expect(placed.status == 201 || placed.status == 200, "\(placed)")

                #expect(try await ask("list").hasPrefix("orders/order_views v1, build 1: active, at "))
                #expect(try await ask("switch", "order_views", status: 1).contains("no build of it is under way"))
                #expect(try await ask("rollback", "order_views", status: 1).contains("no earlier build"))
                #expect(try await ask("rebuild", "none", status: 1).contains("there are: orders/order_views"))
                #expect(try await ask("rebuild", "order_views").contains("build 2: building"))
                #expect(try await ask("rebuild", "order_views", status: 1).contains("build 2 of it is under way"))
                var switched = ""
                for _ in 0..<200 {
                    let result = try await shop.command("projections", "switch", "orders/order_views")
                    switched = result.all
                    if result.status == 0 { break }
                    try await Task.sleep(for: .milliseconds(50))
                }
                #expect(switched.contains("build 2: active"), "\(switched)")
                let orders = try await shop.poll("/api/users/user-1/orders", token: token) {
                    $0.body.contains("confirmed")
                }
                #expect(orders.body.contains("confirmed"), "\(orders)")
                #expect(try await ask("rollback", "order_views").contains("build 1: active"))
                #expect(try await ask("drop", "order_views", "--build", "1", status: 1).contains("answers queries"))
                #expect(try await ask("drop", "order_views", "--build", "2").contains("build 2 of orders/order_views"))
                #expect(try await ask("list", "--json").contains(#""state":"active""#))
                let records = try await shop.command("events", "tail", "--after", "0", "--no-follow")
                for action in ["rebuilding", "switched", "rolledback", "dropped"] {
                    #expect(records.output.contains("$operator.\(action)  orders/order_views"), "\(records.all)")
                }

                let stored = try await shop.command("events", "check-stored")
                #expect(stored.status == 0, "\(stored.all)")
                #expect(stored.output.contains("this program can read all "), "\(stored.all)")

                // Nothing runs: what is ordered now is done at the next start.
                await shop.stop("main")
                #expect(try await ask("rebuild", "order_views", "--switch").contains("build 3: building"))
                #expect(try await shop.command("events", "check-stored", "--json").output.contains(#""findings":[]"#))
                try await shop.start("main")
                var list = ""
                for _ in 0..<200 {
                    list = try await ask("list")
                    if list.contains("build 3: active") { break }
                    try await Task.sleep(for: .milliseconds(50))
                }
                #expect(list.contains("build 3: active"), "\(list)")
                let again = try await shop.poll("/api/users/user-1/orders", token: token) {
                    $0.body.contains("confirmed")
                }
                #expect(again.body.contains("confirmed"), "\(again)")

                func streams(_ arguments: String..., status: Int32 = 0) async throws -> String {
                    let result = try await shop.command("events", "streams", with: arguments)
                    #expect(result.status == status, "\(arguments): \(result.all)")
                    return result.all
                }
                let order = "order-" + (placed.body.firstMatch(of: /"id":"([^"]+)"/).map { String($0.1) } ?? "")
                #expect(try await streams("show", order).contains("\(order): at version 2"))
                #expect(try await streams("show", "order-none", status: 1).contains("there is no stream 'order-none'"))
                let backwards = try await streams("events", order).split(separator: "\n")
                #expect(backwards.count == 2, "\(backwards)")
                #expect(backwards[0].hasPrefix("2  ") && backwards[0].contains("order.confirmed"), "\(backwards)")
                #expect(backwards[1].hasPrefix("1  ") && backwards[1].contains("order.created"), "\(backwards)")
                #expect(try await streams("events", order, "--limit", "1").hasPrefix("2  "))
                #expect(try await streams("events", order, "--before", "2", "--json").contains(#""streamVersion":1"#))
                #expect(try await streams("events", order, "--limit", "0", status: 1).contains("limit"))
                #expect(try await streams("events", "order-none", status: 1).contains("there is no stream"))
                #expect(try await streams("truncate", order, "--through", "9", status: 1).contains("no such version"))
                #expect(try await streams("truncate", order, "--through", "1").contains("truncated through 1"))
                #expect(try await streams("metadata", order).contains("nothing is said of it"))
                let said = try await streams("metadata", order, "--max-count", "5", "--set", "owner=ada")
                #expect(said.contains("version 1: the last 5 events are kept, owner=ada"), "\(said)")
                let late = try await streams("metadata", order, "--max-count", "6", "--expect", "0", status: 1)
                #expect(late.contains("at version 1, not at 0"), "\(late)")
                #expect(try await streams("metadata", order, "--set", "nonsense", status: 64).contains("name=value"))
                let less = try await streams("metadata", order, "--max-count", "0", "--set", "owner=")
                #expect(less.contains("version 2: nothing is said of it"), "\(less)")
                #expect(try await streams("delete", order).contains("takes no more events"))
                #expect(try await streams("show", order).contains("deleted at 20"))
                #expect(try await streams("restore", order).contains("takes events again"))
                // What another node reads of the log it has done with when it asks for more.
                var ended = try await streams("delete", order, "--for-good")
                for _ in 0..<120 where ended.contains("still needed") {
                    try await Task.sleep(for: .milliseconds(250))
                    ended = try await streams("delete", order, "--for-good")
                }
                #expect(
                    ended.contains("\(order): at version 2, truncated through 2, deleted for good since 20"), "\(ended)"
                )
                #expect(try await streams("show", order) == ended)
                let back = try await streams("restore", order, status: 1)
                #expect(back.contains("deleted for good since 20") && back.contains("cannot be restored"), "\(back)")
                let record = try await shop.command("events", "tail", "--after", "0", "--no-follow")
                #expect(record.output.contains("$operator.tombstoned  \(order)"), "\(record.all)")
                let whole = try await shop.command("events", "verify")
                #expect(whole.output.contains("the log is whole: "), "\(whole.all)")
                #expect(whole.output.contains(" 2 reclaimed"), "\(whole.all)")
            }
        }
    }
}
