import Foundation
import Testing

/// Goods that come back: a saga that waits for a parcel and a person, through a restart, seen from outside.
extension IntegrationTests {
    @Suite struct Returns {
        @Test("A return is announced once, arrives, is inspected and becomes credit; a customer can be forgotten")
        func accepted() async throws {
            try await withShop { shop in
                let token = try await shop.token(scope: "orders:write orders:read users:write")
                let order = try await confirmedOrder(shop, token)
                let start = #"{"orderID":"\#(order)","reason":"unwanted"}"#
                func announce(_ key: String) async throws -> Curl.Answer {
                    try await Curl.send(
                        "POST", "\(shop.url)/api/returns", token: token, headers: ["Idempotency-Key: \(key)"],
                        body: start)
                }
                let first = try await announce("r-1")
                #expect(first.status == 200)
                let id = try #require(try first.json["id"] as? String)
                #expect(try await announce("r-1").json["id"] as? String == id)
                let second = try await announce("r-2")
                #expect(second.status == 409)
                #expect(try second.json["type"] as? String == "return-under-way")

                // Waits are kept by the log: the node that they were begun on may go.
                await shop.stop("main")
                try await shop.start("main")
                let stranger = try await Curl.send(
                    "POST", "\(shop.url)/api/returns/\(id)/arrival", token: token, body: #"{"weighsGrams":900}"#)
                #expect(stranger.status == 403, "only the warehouse says what has arrived")
                let warehouse = try await shop.token("warehouse", scope: "warehouse")
                let arrival = try await Curl.send(
                    "POST", "\(shop.url)/api/returns/\(id)/arrival", token: warehouse,
                    headers: ["Idempotency-Key: w-1"], body: #"{"weighsGrams":900}"#)
                #expect(arrival.status == 204)

                let saga = try await waiting(shop, at: "inspect")
                #expect(try await shop.command("sagas", "show", saga).output.contains("holds order '\(order)'"))
                let told = try await shop.command("sagas", "signal", saga, "inspect", #"{"isFine":true}"#)
                #expect(told.status == 0, "\(told.all)")
                _ = try await shop.poll("/api/returns/\(id)", token: token) {
                    try $0.json["status"] as? String == "accepted"
                }
                func credit(_ query: String = "") async throws -> Int? {
                    try await Curl.send("GET", "\(shop.url)/api/users/user-1/credit\(query)", token: token)
                        .json["cents"] as? Int
                }
                #expect(try await credit() == 2500)
                #expect(try await credit("?at=2026-01-01T00:00:00Z") == 0, "as it was then")

                let forgotten = try await Curl.send("DELETE", "\(shop.url)/api/users/user-1", token: token)
                #expect(forgotten.status == 204)
                #expect(
                    try await shop.command("privacy", "status", "user-1").output.contains("asked by the customer"))
            }
        }

        @Test("What comes back damaged is refused, and may be announced again")
        func refused() async throws {
            try await withShop { shop in
                let token = try await shop.token()
                let order = try await confirmedOrder(shop, token)
                let start = #"{"orderID":"\#(order)","reason":"broken"}"#
                let first = try await Curl.send("POST", "\(shop.url)/api/returns", token: token, body: start)
                let id = try #require(try first.json["id"] as? String)
                let warehouse = try await shop.token("warehouse", scope: "warehouse")
                _ = try await Curl.send(
                    "POST", "\(shop.url)/api/returns/\(id)/arrival", token: warehouse, body: #"{"weighsGrams":900}"#)
                let saga = try await waiting(shop, at: "inspect")
                _ = try await shop.command("sagas", "signal", saga, "inspect", #"{"isFine":false}"#)
                let closed = try await shop.poll("/api/returns/\(id)", token: token) {
                    try $0.json["status"] as? String == "refused"
                }
                #expect(try closed.json["refusal"] as? String == "return-damaged")
                let again = try await Curl.send("POST", "\(shop.url)/api/returns", token: token, body: start)
                #expect(again.status == 200)
            }
        }

        /// The id of an order that is confirmed: one customer in eight is declined.
        private func confirmedOrder(_ shop: RunningShop, _ token: String) async throws -> String {
            for attempt in 0..<20 {
                let placed = try await Curl.send(
                    "POST", "\(shop.url)/api/orders", token: token, headers: ["Idempotency-Key: o-\(attempt)"],
                    body: #"{"lines":[{"productID":"chisel","quantity":2}]}"#)
                let id = try #require(try placed.json["id"] as? String)
                let settled = try await shop.poll("/api/orders/\(id)", token: token) {
                    try $0.json["status"] as? String != "pending"
                }
                if try settled.json["status"] as? String == "confirmed" { return id }
            }
            throw ShopError("none of twenty orders was confirmed")
        }

        /// The id of the return's saga, once it has come so far.
        private func waiting(_ shop: RunningShop, at step: String) async throws -> String {
            for _ in 0..<200 {
                let list = try await shop.command("sagas", "list")
                let line = list.output.split(separator: "\n").first {
                    $0.contains("handle-return") && $0.hasSuffix("at \(step)")
                }
                if let id = line?.split(separator: " ").first { return String(id) }
                try await Task.sleep(for: .milliseconds(50))
            }
            throw ShopError("no return has come to '\(step)'")
        }
    }
}
