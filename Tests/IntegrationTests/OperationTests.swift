import Foundation
import Testing

/// What an operator meets: configuration, ports, stopping, commands.
extension IntegrationTests {
    @Suite struct Operation {
        @Test("A wrong configuration: file, line, column, the key, what is allowed, status 78")
        func configuration() async throws {
            for (from, to, expected) in [
                ("platform: shop", "platfrom: shop", "platform.yaml:2:1"),
                ("engine: sqlite, path: data/main.db", "engine: sqllite, path: data/main.db", "sqlite"),
                (
                    "modules: [users, products, orders, inventory, returns]",
                    "modules: [users, products, orders, returns]", "inventory"
                ),
                ("contract: orders@1", "contract: orders@2", "orders@"),
                ("rate: 2000/s", "rate: many", "platform.yaml:"),
                ("  gateway:", "\tgateway:", "platform.yaml:"),
                ("version: 1", "version: 7", "platform.yaml:2:"),
            ] {
                let shop = try RunningShop { $0.replacing(from, with: to, maxReplacements: 1) }
                if !(try String(contentsOfFile: "\(shop.folder.path)/platform.yaml", encoding: .utf8)).contains(to) {
                    continue
                }
                for command in ["run", "check"] {
                    let result = try await shop.command(command)
                    #expect(result.status == 78, "\(to): \(result.all)")
                    #expect(result.errors.contains(expected), "\(to): \(result.errors)")
                    #expect(result.errors.contains("platform.yaml:"), "\(result.errors)")
                }
            }
        }

        @Test("A port in use says whose, and what to do; status 69")
        func portInUse() async throws {
            try await withShop(["main"]) { shop in
                let other = try RunningShop()
                let yaml = try String(contentsOfFile: "\(other.folder.path)/platform.yaml", encoding: .utf8)
                    .replacing("${GATEWAY_PORT:-8080}", with: "\(shop.gatewayPort)")
                try Data(yaml.utf8).write(to: URL(fileURLWithPath: "\(other.folder.path)/platform.yaml"))
                let result = try await other.command("run")
                #expect(result.status == 69, "\(result.all)")
                #expect(result.errors.contains("\(shop.gatewayPort)"))
                #expect(result.errors.contains("in use"))
                #if os(Linux)
                    #expect(result.errors.contains("shop"), "whose: \(result.errors)")
                #endif
            }
        }

        @Test("Two nodes on one store: the second one says that the store is in use, and ends")
        func lockedStore() async throws {
            try await withShop(["main"]) { shop in
                let yaml = try String(contentsOfFile: "\(shop.folder.path)/platform.yaml", encoding: .utf8)
                    .replacing("${GATEWAY_PORT:-8080}", with: "\(Ports.next())")
                    .replacing("data/admin.sock", with: "data/second.sock")
                try Data(yaml.utf8).write(to: URL(fileURLWithPath: "\(shop.folder.path)/second.yaml"))
                let result = try await shop.command("run", "--config", "second.yaml")
                #expect(result.status == 69, "\(result.all)")
                #expect(result.errors.contains("main.db"), "\(result.errors)")
            }
        }

        @Test("SIGTERM: what was accepted is answered, and the node ends with status 0")
        func drain() async throws {
            let shop = try RunningShop(environment: ["SHOP_WEATHER": "calm"])
            try await shop.start("payments")
            try await shop.start("main")
            let token = try await shop.token()
            let script = """
                import http.client, json, sys, threading, time
                port, token = int(sys.argv[1]), sys.argv[2]
                h = {"Authorization": "Bearer " + token, "Content-Type": "application/json"}
                cut, done, stop = [], [0], time.time() + 4
                def work(n):
                    i = 0
                    while time.time() < stop:
                        try:
                            c = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                            c.connect()
                        except OSError:
                            return
                        while time.time() < stop:
                            i += 1
                            sent = False
                            try:
                                c.request("POST", "/api/orders", json.dumps({"lines": [{"productID": "dowel", "quantity": 1}]}),
                                    dict(h, **{"Idempotency-Key": f"d-{n}-{i}"}))
                                r = c.getresponse()
                                body = r.read()
                            except http.client.RemoteDisconnected:
                                break      # an idle connection that was closed: nothing was accepted
                            except (ConnectionResetError, BrokenPipeError):
                                break
                            except http.client.IncompleteRead as e:
                                cut.append(repr(e)); break
                            if r.status != 200: cut.append((r.status, body)); break
                            done[0] += 1
                            if r.will_close: break
                        c.close()
                threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
                for t in threads: t.start()
                for t in threads: t.join()
                print(done[0], cut)
                sys.exit(1 if cut else 0)
                """
            async let client = Shell.run("python3", ["-", "\(shop.gatewayPort)", token], input: script)
            try await Task.sleep(for: .milliseconds(1200))
            let status = await shop.stop("main")
            let result = try await client
            await shop.stop()
            #expect(status == 0)
            #expect(result.status == 0, "\(result.all)")
            #expect((Int(result.output.prefix { $0.isNumber }) ?? 0) > 20, "\(result.output)")
        }

        @Test("An operator cancels an order's saga while the other node is away: it is on record, and turns back")
        func cancelledSaga() async throws {
            try await withShop { shop in
                await shop.stop("payments")
                let token = try await shop.token()
                let placed = try await Curl.send(
                    "POST", "\(shop.url)/api/orders", token: token, headers: ["Idempotency-Key: s-1"],
                    body: #"{"lines":[{"productID":"dowel","quantity":1}]}"#)
                let id = try #require(try placed.json["id"] as? String)
                var saga = ""
                for attempt in 0..<200 {
                    let list = try await shop.command("sagas", "list")
                    saga = list.output.split(separator: " ").first.map(String.init) ?? ""
                    if list.output.contains("at charge payment") { break }
                    #expect(attempt < 199, "\(list.all)")
                    try await Task.sleep(for: .milliseconds(20))
                }
                let cancelled = try await shop.command("sagas", "cancel", saga, "--reason", "the customer called")
                #expect(cancelled.status == 0, "\(cancelled.all)")
                try await shop.start("payments")
                let settled = try await shop.poll("/api/orders/\(id)", token: token) {
                    try $0.json["status"] as? String != "pending"
                }
                #expect(try settled.json["reason"] as? String == "saga-cancelled")
                let shown = try await shop.command("sagas", "show", saga)
                #expect(shown.output.contains("operator cancel: done"), "\(shown.all)")
                #expect(shown.output.contains("the customer called"))
                let record = try await shop.command(
                    "events", "tail", "--after", "0", "--no-follow", "--type", "$operator.saga-cancel")
                #expect(record.output.contains("the customer called"), "\(record.all)")
            }
        }

        @Test("check, routes, events, sagas, status, openapi: each says what is there")
        func commands() async throws {
            try await withShop { shop in
                let token = try await shop.token()
                let placed = try await Curl.send(
                    "POST", "\(shop.url)/api/orders", token: token, headers: ["Idempotency-Key: c-1"],
                    body: #"{"lines":[{"productID":"dowel","quantity":1}]}"#)
                let id = try #require(try placed.json["id"] as? String)
                _ = try await shop.poll("/api/orders/\(id)", token: token) {
                    try $0.json["status"] as? String != "pending"
                }

                let check = try await shop.command("check")
                #expect(check.status == 0, "\(check.all)")
                for line in [
                    "Before integration", "[x] API contracts defined", "[x] Circuit breakers in place",
                    "saga: orders runs 'place-order'", "0 errors",
                ] { #expect(check.output.contains(line), "no '\(line)' in\n\(check.output)") }
                #expect(try await shop.command("check", "--schema").output.contains("2020-12"))

                let routes = try await shop.command("routes")
                #expect(routes.output.contains("/api/orders/{id}"))
                let explained = try await shop.command("routes", "explain", "GET /api/orders/7")
                #expect(explained.output.contains("/v1/orders/7"), "\(explained.all)")

                let subscriptions = try await shop.command("events", "subscriptions")
                #expect(subscriptions.output.contains("users.acknowledge: at "), "\(subscriptions.all)")
                #expect(try await shop.command("events", "dead-letters", "list").output == "no dead letters\n")
                for refused in [
                    ["redrive", "users.acknowledge", "1"], ["show", "nobody", "1"], ["list", "nobody"],
                    ["redrive", "nobody"],
                ] {
                    let answer = try await shop.command("events", "dead-letters", with: refused)
                    #expect(answer.status != 0 && answer.all.contains(refused[1]), "\(answer.all)")
                }
                let again = try await shop.command("events", "seek", "users.acknowledge", "beginning")
                #expect(again.status == 0, "\(again.all)")

                let events = try await shop.command("events", "tail", "--after", "0", "--no-follow")
                #expect(events.output.contains("order.created"))
                let json = try await shop.command(
                    "events", "tail", "--after", "0", "--no-follow", "--json", "--limit", "1")
                #expect(json.output.contains("\"type\":"))
                let sagas = try await shop.command("sagas", "list")
                #expect(sagas.output.contains("place-order"))
                let saga = try #require(sagas.output.split(separator: " ").first)
                let shown = try await shop.command("sagas", "show", String(saga))
                #expect(shown.output.contains("reserve stock: done") || shown.output.contains("reserve stock"))
                #expect(shown.output.contains("started: done"), "\(shown.all)")
                // What has ended is left as it is, in words; what is no saga too.
                for action in ["retry", "skip", "cancel", "compensate"] {
                    let refused = try await shop.command("sagas", action, String(saga), "--reason", "try")
                    #expect(refused.status != 0 && refused.all.contains("it has ended"), "\(refused.all)")
                    #expect(try await shop.command("sagas", action, "nobody").all.contains("there is no saga 'nobody'"))
                }
                let signal = try await shop.command("sagas", "signal", String(saga), "approve", "true")
                #expect(signal.status != 0 && signal.all.contains("has ended"), "\(signal.all)")
                #expect(try await shop.command("sagas", "signal", String(saga), "approve", "{").all.contains("no JSON"))
                let fit = try await shop.command("sagas", "check")
                #expect(fit.status == 0 && fit.output.contains("0 of them would be stuck"), "\(fit.all)")
                let diagram = try await shop.command("sagas", "diagram", "place-order")
                #expect(diagram.output.hasPrefix("flowchart TD") && diagram.output.contains("charge payment"))
                #expect(try await shop.command("sagas", "diagram", "nobody").status != 0)
                let status = try await shop.command("status")
                #expect(status.output.contains("view order_views"))

                let document = try await shop.command("openapi", "orders")
                let openapi =
                    try JSONSerialization.jsonObject(with: Data(document.output.utf8)) as? [String: Any] ?? [:]
                #expect(openapi["openapi"] as? String == "3.1.0")
                #expect((openapi["paths"] as? [String: Any])?["/v1/orders/{id}"] != nil)
                let served = try await Curl.send(
                    "GET", "http://node/openapi.json",
                    further: ["--unix-socket", "\(shop.folder.path)/data/admin.sock"])
                #expect(served.status == 200)
                let metrics = try await Curl.send(
                    "GET", "http://node/metrics", further: ["--unix-socket", "\(shop.folder.path)/data/admin.sock"])
                #expect(metrics.body.contains("dovetail_gateway_requests_total"))
                #expect(metrics.body.contains("dovetail_sagas{status=\"stuck\"} 0"))
                #expect(metrics.body.contains("dovetail_calls_total{callee=\"payments\"}"))
            }
        }

        @Test("A node that is not running is said to be that; status 69")
        func notRunning() async throws {
            let shop = try RunningShop()
            let result = try await shop.command("status")
            #expect(result.status == 69)
            #expect(result.errors.contains("not running"))
        }
    }
}
