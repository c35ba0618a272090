import DovetailContracts
import DovetailCore
import DovetailHTTP
import DovetailMemory
import Foundation
import HTTPTypes
import ServiceLifecycle
import Synchronization
import TestSupport
import Testing

@testable import DovetailEvents
@testable import DovetailPlatform

@Suite struct EventDoorTests {
    private struct Order: Wire, Constrained {
        var id: String
        var total: Int
        static let constraints: Constraints = ["total": .range(0...1000)]
    }

    private struct OrdersAPI: Contract {
        let name = "orders", version = 1
        let placed = Event("order.placed", Order.self, key: \.id)
    }

    private static let yaml = """
        version: 1
        platform: test
        nodes: { main: { store: { engine: memory } } }
        events:
          node: main
          listen: 127.0.0.1:1
          maxEvent: 1KiB
          maxBatch: 3
          clients:
            shop: { token: shop-token-1234567, publish: ["order.*", "note.#"], read: ["order.#"] }
            mute: { token: mute-token-1234567 }
          subscriptions:
            invoices: { topics: order.placed, client: shop, ackWithin: 300ms, retries: 1 }
        """

    /// A door over a log in memory, with its bus and scheduler at work.
    private func withDoor(
        contracts: [any Contract] = [], _ body: (EventDoor, any EventLog, EventBus) async throws -> Void
    ) async throws {
        let configuration = try PlatformConfiguration.parse(Array(Self.yaml.utf8))
        let settings = try #require(configuration.events)
        let store = try MemoryStore()
        let outside = OutsideSubscriptions(settings)
        let scheduler = EventScheduler(log: store.log)
        try await scheduler.prepare()
        let bus = EventBus(log: store.log, subscriptions: outside.subscriptions)
        let door = EventDoor(
            log: store.log, scheduler: scheduler, settings: settings, declared: DeclaredEvents(contracts),
            queues: outside.queues)
        let running = [Task { try await bus.run() }, Task { try await scheduler.run() }]
        let outcome: Result<Void, any Error>
        do { outcome = .success(try await body(door, store.log, bus)) } catch { outcome = .failure(error) }
        for task in running { task.cancel() }
        for task in running { _ = await task.result }
        try outcome.get()
    }

    private func ask(
        _ door: EventDoor, _ method: HTTPRequest.Method, _ path: String, query: String? = nil,
        token: String? = "shop-token-1234567", type: String? = nil, accept: String? = nil, last: String? = nil,
        _ body: String = ""
    ) async -> RawResponse {
        var headers = HTTPFields()
        headers[.authorization] = token.map { "Bearer \($0)" }
        headers[.contentType] = type
        headers[.accept] = accept
        headers[.lastEventID] = last
        return await door.respond(
            to: RawRequest(method: method, path: path, query: query, headers: headers, body: Array(body.utf8)))
    }

    private func json(_ response: RawResponse) throws -> JSONValue {
        guard case .bytes(let bytes) = response.body else { return .null }
        return bytes.isEmpty ? .null : try JSON.decode(JSONValue.self, from: bytes)
    }

    private func event(_ id: String, type: String = "order.placed", data: String = #"{"id":"o","total":5}"#) -> String {
        #"{"specversion":"1.0","id":"\#(id)","source":"/t","type":"\#(type)","data":\#(data)}"#
    }

    private static let structured = CloudEvent.mediaType
    private static let batch = CloudEvent.batchMediaType

    @Test("Without a client's token nothing is told, whatever is asked")
    func closed() async throws {
        try await withDoor { door, log, _ in
            for token in [nil, "", "shop-token-123456", "shop-token-12345678", "SHOP-TOKEN-1234567"] {
                for path in ["/events", "/nothing", "/subscriptions/invoices/fetch"] {
                    let response = await ask(door, .post, path, token: token, type: Self.structured, event("1"))
                    #expect(response.status == .unauthorized)
                    #expect(response.headers[.wwwAuthenticate] == "Bearer")
                }
            }
            #expect(log.head == 0)
        }
    }

    @Test(
        "What is published is durable when it is answered, there once however often it is sent, also in a batch that overlaps"
    )
    func publishing() async throws {
        try await withDoor { door, log, _ in
            let first = await ask(door, .post, "/events", type: Self.structured, event("1"))
            #expect(first.status == .ok)
            #expect(log.head == 1)
            let answer = try json(first)
            #expect(answer["position"]?.string == log.position(1).description)
            #expect(answer["durability"] == "memory")
            #expect(first.headers[.dovetailPosition] == log.position(1).description)
            let again = await ask(door, .post, "/events", type: Self.structured, event("1"))
            #expect(try json(again)["duplicates"] == 1)
            let batch = await ask(
                door, .post, "/events", type: Self.batch, "[\(event("1")),\(event("2")),\(event("2"))]")
            #expect(batch.status == .ok)
            #expect(try json(batch)["duplicates"] == 2)
            #expect(log.head == 2)
            let empty = await ask(door, .post, "/events", type: Self.batch, "[]")
            #expect(empty.status == .ok)
        }
    }

    @Test(
        "What cannot be taken is refused with a status of its own, and the attribute is named; a batch is taken as a whole or not"
    )
    func refusals() async throws {
        try await withDoor(contracts: [OrdersAPI()]) { door, log, _ in
            let cases: [(String, String, Int, String)] = [
                (Self.structured, "{}", 400, "/specversion"),
                (Self.structured, "nonsense", 400, ""),
                (Self.structured, event("1", type: "mail.sent"), 403, "/type"),
                (Self.structured, event("1", type: "order.unknown"), 422, "/type"),
                (Self.structured, event("1", data: #"{"id":"o","total":5000}"#), 422, "/data/total"),
                (Self.structured, event("1", data: #"{"total":5}"#), 422, "/data/id"),
                (
                    Self.structured,
                    event("1", data: #"{"id":"o","total":5,"x":"\#(String(repeating: "a", count: 2000))"}"#), 413,
                    "/data"
                ),
                (Self.batch, "[\(event("1")),\(event("2", data: "[]"))]", 422, "/1/data"),
                (Self.batch, "[\(event("1")),\(event("2")),\(event("3")),\(event("4"))]", 400, ""),
                ("application/cloudevents+protobuf", "", 400, ""),
            ]
            for (type, body, status, pointer) in cases {
                let response = await ask(door, .post, "/events", type: type, body)
                #expect(response.status.code == status, "\(body)")
                let problem = try json(response)
                #expect(problem["violations"]?[0]?["pointer"]?.string == pointer, "\(body)")
            }
            let version = event("1").replacing("\"source\"", with: "\"dataversion\":\"9\",\"source\"")
            let response = await ask(door, .post, "/events", type: Self.structured, version)
            #expect(response.status.code == 422)
            let problem = try json(response)
            #expect(problem["violations"]?[0]?["pointer"]?.string == "/dataversion")
            #expect(log.head == 0)
        }
    }

    @Test("Scheduled: answered when it is kept, published at its time, or cancelled")
    func scheduling() async throws {
        try await withDoor { door, log, _ in
            let later = await ask(
                door, .post, "/events", query: "at=2099-01-01T00:00:00Z", type: Self.structured, event("later"))
            #expect(later.status == .accepted)
            let id = try #require(try json(later)["ids"]?[0]?.string)
            let past = await ask(
                door, .post, "/events", query: "at=2000-01-01T00:00:00Z", type: Self.structured, event("past"))
            #expect(past.status == .accepted)
            _ = try await log.waitForHead(beyond: 0)
            #expect(await ask(door, .delete, "/events/\(id)", token: "mute-token-1234567").status == .notFound)
            #expect(await ask(door, .delete, "/events/\(id)").status == .noContent)
            #expect(await ask(door, .delete, "/events/\(id)").status == .notFound)
            #expect(await ask(door, .delete, "/events/nonsense").status == .notFound)
            let wrong = await ask(door, .post, "/events", query: "at=soon", type: Self.structured, event("x"))
            #expect(wrong.status.code == 400)
        }
    }

    @Test("A reader sees what it may and what it asks for, page by page, and goes on where it was")
    func reading() async throws {
        try await withDoor { door, log, _ in
            for (id, type) in [("1", "order.placed"), ("2", "note.secret"), ("3", "order.paid"), ("4", "order.placed")]
            {
                _ = await ask(door, .post, "/events", type: Self.structured, event(id, type: type))
            }
            func ids(_ query: String) async throws -> (ids: [String], position: String?) {
                let response = await ask(door, .get, "/events", query: query)
                guard case .array(let events) = try json(response) else { return ([], "\(response.status)") }
                return (events.compactMap { $0["id"]?.string }, response.headers[.dovetailPosition])
            }
            #expect(try await ids("from=beginning").ids == ["1", "3", "4"])
            #expect(try await ids("from=beginning&topics=%23").ids == ["1", "3", "4"])
            #expect(try await ids("from=beginning&topics=order.placed").ids == ["1", "4"])
            #expect(try await ids("from=beginning&filter=id%20%3D%20'3'").ids == ["3"])
            #expect(try await ids("from=now").ids == [])
            #expect(try await ids("from=2000-01-01T00:00:00Z").ids == ["1", "3", "4"])
            let (page, position) = try await ids("from=beginning&limit=2")
            #expect(page == ["1", "3"])
            #expect(try await ids("after=\(position ?? "")").ids == ["4"])
            for (query, status) in [
                ("topics=note.secret", 403), ("limit=0", 400), ("limit=x", 400), ("from=tomorrow", 400),
                ("filter=%25", 400), ("after=1", 400), ("aftr=1", 400), ("a=%ff", 400),
                ("after=\(LogPosition(log: .v7(), epoch: 1, number: 1))", 410),
                ("after=\(log.position(99))", 410),
            ] {
                #expect(await ask(door, .get, "/events", query: query).status.code == status, "\(query)")
            }
            #expect(await ask(door, .get, "/events", token: "mute-token-1234567").status == .forbidden)
        }
    }

    @Test("A stream brings events with their positions as ids, and goes on from the last one seen")
    func streaming() async throws {
        try await withDoor { door, log, _ in
            for id in ["1", "2"] { _ = await ask(door, .post, "/events", type: Self.structured, event(id)) }
            let response = await ask(door, .get, "/events", query: "from=beginning", accept: "text/event-stream")
            #expect(response.headers[.contentType]?.hasPrefix("text/event-stream") == true)
            let text = try await Self.read(response, until: "\"id\":\"2\"")
            #expect(text.contains("id: \(log.position(1))\ndata: {"))
            let rest = await ask(
                door, .get, "/events", accept: "text/event-stream", last: log.position(1).description)
            async let more = Self.read(rest, until: "\"id\":\"3\"")
            _ = await ask(door, .post, "/events", type: Self.structured, event("3"))
            let read = try await more
            #expect(!read.contains("\"id\":\"1\""))
            #expect(read.contains("\"id\":\"2\""))
            let foreign = await ask(
                door, .get, "/events", accept: "text/event-stream",
                last: LogPosition(log: .v7(), epoch: 1, number: 1).description)
            #expect(foreign.status.code == 410)
            #expect(await ask(door, .get, "/events", accept: "text/event-stream", last: "7").status.code == 400)
        }
    }

    private static func read(_ response: RawResponse, until end: String) async throws -> String {
        guard case .stream(let chunks) = response.body else { return "" }
        var text = ""
        for try await chunk in chunks {
            text += String(decoding: chunk, as: UTF8.self)
            if text.contains(end) { break }
        }
        return text
    }

    @Test(
        "Fetched, acknowledged, refused, forgotten: each event is the client's once at a time, comes again until it is done, and ends in the dead letters"
    )
    func pulling() async throws {
        try await withDoor { door, _, bus in
            func fetch(_ query: String = "wait=5") async throws -> [(token: String, id: String, attempt: JSONValue)] {
                let response = await ask(door, .post, "/subscriptions/invoices/fetch", query: query)
                #expect(response.status == .ok)
                guard case .array(let deliveries)? = try json(response)["deliveries"] else { return [] }
                return deliveries.map {
                    ($0["token"]?.string ?? "", $0["event"]?["id"]?.string ?? "", $0["attempt"] ?? .null)
                }
            }
            func settle(_ verb: String, _ tokens: [String]) async throws -> JSONValue {
                let list = tokens.map { "\"\($0)\"" }.joined(separator: ",")
                let response = await ask(
                    door, .post, "/subscriptions/invoices/\(verb)", #"{"tokens":[\#(list)],"error":"no paper"}"#)
                return try json(response)
            }
            #expect(try await fetch("wait=0").isEmpty)
            for id in ["1", "2", "3"] { _ = await ask(door, .post, "/events", type: Self.structured, event(id)) }
            var taken: [(token: String, id: String, attempt: JSONValue)] = []
            while taken.count < 3 { taken += try await fetch() }
            #expect(taken.map(\.id).sorted() == ["1", "2", "3"])
            #expect(try await fetch("wait=0").isEmpty, "nobody gets what another has")
            let token = Dictionary(taken.map { ($0.id, $0.token) }) { first, _ in first }
            #expect(try await settle("ack", [token["1"] ?? "", "nonsense"])["unknown"] == ["nonsense"])
            #expect(try await settle("nack", [token["2"] ?? ""])["settled"] == 1)
            // The third is left alone until its time is over; both come again, and fail again.
            var again: [String: JSONValue] = [:]
            while again.count < 2 {
                for delivery in try await fetch() {
                    again[delivery.id] = delivery.attempt
                    _ = try await settle("nack", [delivery.token])
                }
            }
            #expect(again == ["2": 2, "3": 2])
            #expect(try await settle("ack", [token["3"] ?? ""])["settled"] == 0, "its time was over")
            for _ in 0..<200 {
                if try await bus.deadLetters(of: "invoices").count == 2 { break }
                try await Task.sleep(for: .milliseconds(25))
            }
            let letters = try await bus.deadLetters(of: "invoices")
            #expect(letters.count == 2)
            #expect(letters.allSatisfy { $0.error == "no paper" && $0.attempts == 2 })
        }
    }

    @Test("Who waits for an event is woken by it, whenever exactly it comes", .timeLimit(.minutes(1)))
    func fetchingMeetsArriving() async throws {
        let queue = PullQueue(ackWithin: .seconds(30))
        let log = try MemoryStore().log
        for number in 1...2000 {
            _ = try await log.publish([EventDraft(type: "a", key: "k", source: "t", data: [])])
            let event = try #require(try await log.events(after: Int64(number - 1), types: nil, limit: 1).events.first)
            let handling = Task.detached {
                try await queue.handle(
                    event, Delivery(subscription: "s", attempt: 1, deadline: .now + .seconds(30)))
            }
            let start = MonotonicTime.now
            let fetched = try await queue.fetch(1, wait: .seconds(20))
            #expect(MonotonicTime.now - start < .seconds(10), "it slept through the event's coming")
            #expect(queue.acknowledge(fetched.map(\.token)).isEmpty)
            try await handling.value
        }
    }

    @Test("A client fetches from its own subscriptions only, and what it sends is checked")
    func pullingByOthers() async throws {
        try await withDoor { door, _, _ in
            let path = "/subscriptions/invoices/fetch"
            #expect(await ask(door, .post, path, token: "mute-token-1234567").status == .notFound)
            #expect(await ask(door, .post, "/subscriptions/none/fetch").status == .notFound)
            #expect(await ask(door, .get, path).status == .methodNotAllowed)
            #expect(await ask(door, .post, path, query: "limit=0").status.code == 400)
            #expect(await ask(door, .post, "/subscriptions/invoices/ack", "{}").status.code == 400)
            #expect(await ask(door, .post, "/subscriptions/invoices/ack", "").status.code == 400)
            #expect(await ask(door, .post, "/subscriptions/invoices/eat", "{}").status == .notFound)
            #expect(await ask(door, .put, "/events").status == .methodNotAllowed)
        }
    }

    // MARK: Webhooks

    /// A receiver that answers as it is told, and keeps what came.
    private final class Receiver: RawHandler {
        let answers: Mutex<[Int]>
        let received = Mutex<[RawRequest]>([])

        init(_ answers: [Int]) { self.answers = Mutex(answers) }

        func respond(to request: RawRequest) async -> RawResponse {
            received.withLock { $0.append(request) }
            let status = answers.withLock { $0.isEmpty ? 204 : $0.removeFirst() }
            return RawResponse(status: .init(code: status), headers: status == 503 ? [.retryAfter: "0"] : [:])
        }
    }

    private func withReceiver(
        _ answers: [Int], _ body: (Receiver, Int) async throws -> Void
    ) async throws {
        let receiver = Receiver(answers)
        let server = HTTPServer(.tcp(host: "127.0.0.1", port: 0), handler: receiver)
        let running = Task { try await server.run() }
        guard case .tcp(_, let port) = try await server.boundAddress else { return }
        let outcome: Result<Void, any Error>
        do { outcome = .success(try await body(receiver, port)) } catch { outcome = .failure(error) }
        running.cancel()
        _ = await running.result
        try outcome.get()
    }

    @Test(
        "A webhook is tried again while its receiver is away, given up on when it says no, and signed so that another's library believes it"
    )
    func webhooks() async throws {
        try await withReceiver([503, 500, 204, 400, 204]) { receiver, port in
            let yaml =
                Self.yaml + """

                        hook: { topics: order.*, retries: 3, push: { url: "http://127.0.0.1:\(port)/hook?x=1", secret: whsec_c2VjcmV0c2VjcmV0c2VjcmV0 } }
                    """
            let settings = try #require(try PlatformConfiguration.parse(Array(yaml.utf8)).events)
            let outside = OutsideSubscriptions(settings)
            let store = try MemoryStore()
            let hooks = outside.subscriptions.filter { $0.name == "hook" }.map { hook in
                var hook = hook
                hook.redelivery.baseDelay = .milliseconds(5)
                return hook
            }
            let bus = EventBus(log: store.log, subscriptions: hooks)
            let running = Task { try await bus.run() }
            defer { running.cancel() }
            let ids = (1...3).map { _ in UniqueID.v7() }
            for (index, id) in ids.enumerated() {
                _ = try await store.log.publish([
                    EventDraft(
                        id: id, type: "order.placed", key: "k", source: "/t", data: Array(#"{"n":\#(index)}"#.utf8))
                ])
            }
            // The first is taken at the third attempt, the second is refused and parks its key.
            for _ in 0..<400 {
                if try await bus.deadLetters(of: "hook").count == 1 { break }
                try await Task.sleep(for: .milliseconds(25))
            }
            let letter = try #require(try await bus.deadLetters(of: "hook").first)
            #expect(letter.eventID == ids[1].description)
            #expect(letter.attempts == 1)
            #expect(letter.error.contains("answered 400"))
            #expect(!letter.error.contains("whsec"))
            try await bus.discard("hook", position: letter.position)
            for _ in 0..<400 where receiver.received.withLock({ $0.count }) < 5 {
                try await Task.sleep(for: .milliseconds(25))
            }
            let received = receiver.received.withLock { $0 }
            #expect(
                received.map { $0.headers[HTTPField.Name("webhook-id") ?? .range] }
                    == [ids[0], ids[0], ids[0], ids[1], ids[2]].map(\.description))
            #expect(
                received.map { $0.headers[HTTPField.Name("dovetail-attempt") ?? .range] } == ["1", "2", "3", "1", "1"])
            #expect(received.allSatisfy { $0.path == "/hook" && $0.query == "x=1" && $0.method == .post })
            #expect(received.allSatisfy { $0.headers[.contentType] == CloudEvent.mediaType })
            try await outside.sender?.shutdown()
            guard PythonOracle.has("standardwebhooks") else { return }
            let first = received[0]
            func header(_ name: String) -> String { first.headers[HTTPField.Name(name) ?? .range] ?? "" }
            let script = """
                import sys, json
                from standardwebhooks import Webhook
                body = sys.stdin.read()
                headers = {"webhook-id": "\(header("webhook-id"))", "webhook-timestamp": "\(header("webhook-timestamp"))",
                           "webhook-signature": "\(header("webhook-signature"))"}
                print(Webhook("whsec_c2VjcmV0c2VjcmV0c2VjcmV0").verify(body, headers)["type"])
                try:
                    Webhook("whsec_c2VjcmV0c2VjcmV0c2VjcmV0").verify(body + " ", headers)
                except Exception as error:
                    print(type(error).__name__)
                """
            let verdict = try PythonOracle.run(script, input: String(decoding: first.body, as: UTF8.self))
            #expect(verdict == "order.placed\nWebhookVerificationError\n")
        }
    }

    // MARK: Configuration

    @Test(arguments: [
        ("listen: 127.0.0.1:1", "listen: unix:x.sock", "TCP"),
        ("node: main\n  listen", "node: mian\n  listen", "no node is named"),
        ("shop-token-1234567", "short", "16 visible ASCII"),
        ("mute-token-1234567", "shop-token-1234567", "same token"),
        ("\"order.*\", ", "\"a..b\", ", "a topic such as"),
        ("client: shop, ackWithin", "client: nobody, ackWithin", "no client is named"),
        ("client: shop, ", "", "exactly one of"),
        ("retries: 1", "retries: 1, filter: 'data.total >'", "at character 13"),
        ("retries: 1", "retries: 1, order: sometimes", "key or none"),
        ("maxBatch: 3", "maxBatch: 0", "whole number from 1"),
        ("client: shop, ackWithin: 300ms", "push: { url: ftp://x, secret: sssssssssssssssssssss }", "a URL such as"),
    ])
    func configurationSaysWhatIsWrong(_ from: String, _ to: String, _ expected: String) {
        let yaml = Self.yaml.replacing(from, with: to, maxReplacements: 1)
        #expect(yaml != Self.yaml)
        #expect {
            try PlatformConfiguration.parse(Array(yaml.utf8))
        } throws: { error in
            "\(error)".contains(expected)
        }
    }
}
