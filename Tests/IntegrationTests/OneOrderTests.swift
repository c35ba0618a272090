import Foundation
import Testing

/// The whole path, as a customer walks it: gateway, contract, handler, aggregate, log, projection, query.
extension IntegrationTests {
    @Suite struct OneOrder {
        @Test(
            "An order is placed once under its key, confirmed by the saga, shown by the read model, and there after a restart"
        )
        func placed() async throws {
            try await withShop { shop in
                let token = try await shop.token()
                let order = #"{"lines":[{"productID":"chisel","quantity":2},{"productID":"dowel","quantity":1}]}"#
                let first = try await Curl.send(
                    "POST", "\(shop.url)/api/orders", token: token, headers: ["Idempotency-Key: k-1"], body: order)
                #expect(first.status == 200)
                let id = try #require(try first.json["id"] as? String)
                let again = try await Curl.send(
                    "POST", "\(shop.url)/api/orders", token: token, headers: ["Idempotency-Key: k-1"], body: order)
                #expect(try again.json["id"] as? String == id)

                // Read your own write: the position of the answer is waited for.
                let position = try #require(first.headers["dovetail-position"])
                let mine = try await Curl.send(
                    "GET", "\(shop.url)/api/orders/\(id)", token: token, headers: ["Dovetail-After: \(position)"])
                #expect(mine.status == 200)

                // Two chisels and a hundred dowels; one customer in eight is declined, so either end is right.
                let settled = try await shop.poll("/api/orders/\(id)", token: token) {
                    try $0.json["status"] as? String != "pending"
                }
                let status = try #require(try settled.json["status"] as? String)
                #expect(["confirmed", "cancelled"].contains(status))
                #expect(try settled.json["cents"] as? Int == 2 * 1250 + 480)
                #expect(try settled.json["itemCount"] as? Int == 3)

                let stranger = try await Curl.send(
                    "GET", "\(shop.url)/api/orders/\(id)", token: try await shop.token("user-2"))
                #expect(stranger.status == 404)

                await shop.stop("main")
                try await shop.start("main")
                let after = try await Curl.send("GET", "\(shop.url)/api/orders/\(id)", token: token)
                #expect(try after.json["status"] as? String == status)
                let list = try await Curl.send("GET", "\(shop.url)/api/users/user-1/orders?limit=5", token: token)
                #expect((try list.json["orders"] as? [[String: Any]])?.count == 1)
                let third = try await Curl.send(
                    "POST", "\(shop.url)/api/orders", token: token, headers: ["Idempotency-Key: k-1"], body: order)
                #expect(try third.json["id"] as? String == id)

                // The read side without a token, and a list that streams.
                let products = try await Curl.send("GET", "\(shop.url)/api/products?limit=2")
                #expect((try products.json["products"] as? [[String: Any]])?.count == 2)
                let export = try await Curl.send("GET", "\(shop.url)/api/products/export")
                #expect(export.headers["content-type"] == "application/x-ndjson")
                #expect(export.body.split(separator: "\n").count == 5)
            }
        }

        @Test(
            "A trace follows the order from the gateway through the log into the last step of the saga, on both nodes")
        func traced() async throws {
            try await withShop { shop in
                let token = try await shop.token()
                let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
                let placed = try await Curl.send(
                    "POST", "\(shop.url)/api/orders", token: token,
                    headers: ["traceparent: 00-\(trace)-00f067aa0ba902b7-01", "Idempotency-Key: t-1"],
                    body: #"{"lines":[{"productID":"easel","quantity":1}]}"#)
                let id = try #require(try placed.json["id"] as? String)
                _ = try await shop.poll("/api/orders/\(id)", token: token) {
                    try $0.json["status"] as? String != "pending"
                }
                try await Task.sleep(for: .milliseconds(300))
                let timeline = try await shop.command("trace", trace)
                #expect(timeline.status == 0)
                for hop in ["gateway POST", "orders.place", "reserve stock", "charge payment", "payments.charge"] {
                    #expect(timeline.output.contains(hop), "no '\(hop)' in\n\(timeline.output)")
                }
            }
        }

        @Test("A client in another language uses the gateway over one connection")
        func python() async throws {
            try await withShop { shop in
                let token = try await shop.token()
                let script = """
                    import http.client, json, sys
                    port, token = int(sys.argv[1]), sys.argv[2]
                    c = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
                    h = {"Authorization": "Bearer " + token, "Content-Type": "application/json"}
                    ids = []
                    for n in range(20):
                        body = json.dumps({"lines": [{"productID": "dowel", "quantity": 1 + n % 3}]})
                        c.request("POST", "/api/orders", body, dict(h, **{"Idempotency-Key": f"py-{n}"}))
                        r = c.getresponse(); data = r.read()
                        assert r.status == 200, (r.status, data)
                        assert not r.will_close
                        ids.append(json.loads(data)["id"])
                    assert len(set(ids)) == 20
                    c.request("POST", "/api/orders", iter([b'{"lines":[{"productID":', b'"dowel","quantity":1}]}']),
                        dict(h, **{"Idempotency-Key": "py-chunked"}), encode_chunked=True)
                    r = c.getresponse(); data = r.read()
                    assert r.status in (200, 411), (r.status, data)
                    c.request("GET", "/api/users/user-1/orders?limit=100", headers=h)
                    r = c.getresponse(); page = json.loads(r.read())
                    assert len(page["orders"]) >= 20, page
                    print("ok", len(page["orders"]))
                    """
                let result = try await Shell.run(
                    "python3", ["-", "\(shop.gatewayPort)", token], input: script)
                #expect(result.status == 0, "\(result.all)")
                #expect(result.output.hasPrefix("ok"))
            }
        }
    }
}
