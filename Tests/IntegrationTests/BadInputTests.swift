import Foundation
import Testing

/// Every way to ask wrongly has its status, says what is wrong, and tells nothing of the inside.
extension IntegrationTests {
    @Suite struct BadInput {
        @Test("Requests that are wrong: what each is answered")
        func requests() async throws {
            try await withShop { shop in
                let token = try await shop.token()
                let orders = "\(shop.url)/api/orders"
                func post(_ body: String, _ headers: String...) async throws -> Curl.Answer {
                    try await Curl.send("POST", orders, token: token, headers: headers, body: body)
                }

                // 400: where, and what was expected.
                for (body, pointer, expected) in [
                    (#"{"lines":[{"productID":"dowel","quantity":"two"}]}"#, "/lines/0/quantity", "integer"),
                    (#"{"lines":[{"productID":"dowel"}]}"#, "/lines/0/quantity", "found nothing"),
                    (#"{"lines":{"a":1}}"#, "/lines", "array"),
                    (#"{"lines":[{"productID":"dowel","quantity":1e99}]}"#, "/lines/0/quantity", "integer"),
                    (#"{}"#, "/lines", "found nothing"),
                    (#"{"lines":[{"productID":"dowel","quantity":-1}]}"#, "/lines/0/quantity", "1"),
                    (#"{"lines":[{"productID":"dowel","quantity":101}]}"#, "/lines/0/quantity", "100"),
                ] {
                    let answer = try await post(body)
                    #expect(answer.status == 400, "\(body): \(answer)")
                    #expect(answer.headers["content-type"] == "application/problem+json")
                    let violations = try answer.json["violations"] as? [[String: Any]]
                    #expect(violations?.first?["pointer"] as? String == pointer, "\(body): \(answer.body)")
                    #expect((violations?.first?["expected"] as? String)?.contains(expected) == true, "\(answer.body)")
                    #expect(try answer.json["contract"] as? String == "orders@1")
                }
                for body in ["{", "nonsense", #"{"lines":[}"#, "\u{0}", String(repeating: "[", count: 100_000)] {
                    let answer = try await post(body)
                    #expect(answer.status == 400, "\(body.prefix(20)): \(answer.status)")
                    #expect(try answer.json["violations"] != nil)
                }
                #expect(try await post(#"{"lines":[]}"#).status == 422)
                #expect(try await post(#"{"lines":[{"productID":"unicorn","quantity":1}]}"#).status == 422)
                let wrongNumber = try await Curl.send("GET", "\(shop.url)/api/products?limit=many")
                #expect(wrongNumber.status == 400)
                #expect(wrongNumber.body.contains("limit"))

                // 413 and 415.
                let tooLarge = try await post(
                    #"{"lines":[{"productID":""# + String(repeating: "x", count: 2 << 20) + #"","quantity":1}]}"#,
                    "Expect:")
                #expect(tooLarge.status == 413)
                #expect(try await post("<order/>", "Content-Type: text/xml").status == 415)

                // 401: no, bad, expired, for somebody else; always with the challenge.
                let expired = try await shop.command("token", "user-1", "--minutes", "-5").output
                    .trimmingCharacters(in: .whitespacesAndNewlines)
                let half = token.split(separator: ".")
                let forged = "\(half[0]).\(half[1]).\(half[2].reversed().map(String.init).joined())"
                let none = "eyJhbGciOiJub25lIn0.\(half[1])."
                for bad in [nil, "nonsense", expired, forged, none, String(repeating: "a.", count: 2000)] {
                    let answer = try await Curl.send("POST", orders, token: bad, body: #"{"lines":[]}"#)
                    #expect(answer.status == 401, "\(bad ?? "no token")")
                    #expect(answer.headers["www-authenticate"]?.hasPrefix("Bearer") == true)
                    #expect(!answer.body.contains(bad ?? "no token at all"), "the token is told back")
                }

                // 403, 404, 405.
                let reader = try await shop.token("user-1", scope: "orders:read")
                let forbidden = try await Curl.send("POST", orders, token: reader, body: #"{"lines":[]}"#)
                #expect(forbidden.status == 403)
                #expect(forbidden.body.contains("orders:write") || forbidden.headers["www-authenticate"] != nil)
                let others = try await Curl.send("GET", "\(shop.url)/api/users/user-2/orders", token: token)
                #expect(others.status == 403)
                for path in ["/", "/api", "/api/nothing", "/v1/orders", "/api/orders/../secrets", "/api//orders"] {
                    let answer = try await Curl.send(
                        "GET", shop.url + path, token: token, further: ["--path-as-is"])
                    #expect(answer.status == 404 || answer.status == 400, "\(path): \(answer.status)")
                    #expect(answer.headers["content-type"] == "application/problem+json")
                }
                let method = try await Curl.send("DELETE", orders, token: token)
                #expect(method.status == 405)
                #expect(method.headers["allow"]?.contains("POST") == true)

                // Every answer carries an id to ask the operator by, and the gateway is still well.
                #expect(method.headers["x-correlation-id"]?.isEmpty == false)
                #expect(try await Curl.send("GET", "\(shop.url)/api/products").status == 200)
            }
        }

        @Test("Over the limit: 429, with the time after which to come again")
        func limited() async throws {
            try await withShop(
                ["main"], edit: { $0.replacing("rate: 2000/s, burst: 4000", with: "rate: 1/s, burst: 3") }
            ) { shop in
                let token = try await shop.token()
                var statuses: [Int] = []
                var last: Curl.Answer?
                for _ in 0..<6 {
                    let answer = try await Curl.send("GET", "\(shop.url)/api/users/user-1/orders", token: token)
                    statuses.append(answer.status)
                    if answer.status == 429 { last = answer }
                }
                #expect(statuses.prefix(3) == [200, 200, 200])
                #expect(statuses.contains(429))
                #expect((last?.headers["retry-after"].flatMap { Int($0) } ?? 0) >= 1)
                // The limit is the principal's: another one is not slowed down.
                let other = try await Curl.send(
                    "GET", "\(shop.url)/api/users/user-2/orders", token: try await shop.token("user-2"))
                #expect(other.status == 200)
            }
        }

        @Test("A module that is down, too slow, or hangs: 502, 503 while the breaker is open, 504 at the deadline")
        func broken() async throws {
            // Payments at the gateway's door, so that what happens to it can be seen from outside.
            let edit = { (yaml: String) in
                yaml.replacing(
                    "    - contract: users@1\n",
                    with:
                        "    - contract: payments@1\n      path: /pay\n      authentication: none\n    - contract: users@1\n"
                ).replacing("nodes:", with: "nodes:", maxReplacements: 1)
            }
            try await withShop(["main", "payments"], environment: ["SHOP_WEATHER": "hanging"], edit: edit) { shop in
                let charge = { (id: String) in
                    try await Curl.send("PUT", "\(shop.url)/pay/charges/\(id)", body: #"{"cents":100}"#)
                }
                let start = ContinuousClock.now
                let hung = try await charge("a")
                let waited = start.duration(to: .now)
                #expect(hung.status == 504)
                // Three attempts of a second each, within the four seconds that the call has.
                #expect(waited > .seconds(2.8) && waited < .seconds(6), "\(waited)")
                #expect(hung.headers["content-type"] == "application/problem+json")

                await shop.stop("payments", by: SIGKILL)
                var statuses: [Int] = []
                var open: Curl.Answer?
                for number in 0..<30 {
                    let answer = try await charge("b\(number)")
                    statuses.append(answer.status)
                    if answer.status == 503 { open = answer }
                }
                #expect(statuses.first == 502, "\(statuses)")
                #expect(statuses.contains(503), "the breaker opens: \(statuses)")
                #expect(statuses.allSatisfy { $0 == 502 || $0 == 503 })
                #expect(open?.headers["retry-after"] != nil)
            }
        }

        @Test("What would break the parser, from a raw socket")
        func raw() async throws {
            try await withShop(["main"]) { shop in
                let script = """
                    import socket, sys
                    port = int(sys.argv[1])
                    def ask(data):
                        s = socket.create_connection(("127.0.0.1", port), timeout=10)
                        s.sendall(data); s.shutdown(socket.SHUT_WR)
                        out = b""
                        while True:
                            try: part = s.recv(65536)
                            except ConnectionResetError: break
                            if not part: break
                            out += part
                        s.close()
                        return out.split(b"\\r\\n")[0]
                    bad = [b"\\x00\\x01\\x02\\r\\n\\r\\n", b"GET\\r\\n\\r\\n", b"GET / HTTP/9.9\\r\\nHost: a\\r\\n\\r\\n",
                        b"GET / HTTP/1.1\\r\\n\\r\\n", b"GET / HTTP/1.1\\r\\nHost: a\\r\\nHost: b\\r\\n\\r\\n",
                        b"POST / HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: 1\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\n",
                        b"POST / HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: -1\\r\\n\\r\\n",
                        b"POST / HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: 99999999999999999999\\r\\n\\r\\n",
                        b"GET / HTTP/1.1\\r\\nHost: a\\r\\n" + b"X: " + b"a" * 100000 + b"\\r\\n\\r\\n",
                        b"GET /" + b"a" * 100000 + b" HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n",
                        b"GET / HTTP/1.1\\r\\nHost : a\\r\\n\\r\\n", b"GET / HTTP/1.1\\nHost: a\\n\\n\\xff"]
                    for data in bad:
                        line = ask(data)
                        assert line == b"" or line.split(b" ")[1][:1] in (b"4", b"5"), (data[:60], line)
                        print(line.decode() or "closed")
                    assert b" 200 " in ask(b"GET /api/products HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n")
                    """
                let result = try await Shell.run("python3", ["-", "\(shop.gatewayPort)"], input: script)
                #expect(result.status == 0, "\(result.all)")
            }
        }
    }
}
