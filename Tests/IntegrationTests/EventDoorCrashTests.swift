import Dovetail
import DovetailCore
import DovetailHTTP
import DovetailTesting
import Foundation
import HTTPTypes
import Testing

/// `dovetail run` for programs in any language.
extension IntegrationTests {
    @Suite struct Outside {
        @Test("The Python example does what it says") func pythonExample() async throws {
            let outpost = try Outpost(files: ["platform.yaml", "dovetail_events.py", "billing.py"])
            try await outpost.start()
            let result = try await Shell.run(
                "python3", ["billing.py"], in: outpost.folder.path, environment: outpost.environment)
            await outpost.kill(SIGTERM)
            #expect(
                result.all == """
                    published 3
                    again, duplicates: 3
                    invoiced order-0 250
                    invoiced order-2 120
                    receipts [120, 250]
                    streamed order-0 order-1
                    refused 400 /0/time

                    """, "\(result.all)\n\(outpost.log)")
        }

        @Test(
            "Killed at random moments: what was acknowledged is there once, and every subscriber gets it in the order of its key",
            .timeLimit(.minutes(3)))
        func killedWhileAtWork() async throws {
            let outpost = try Outpost(files: ["platform.yaml"]) { yaml in
                yaml.replacing("filter: data.total >= 100\n", with: "concurrency: 200\n")
                    .replacing("ackWithin: 30s", with: "ackWithin: 2s")
            }
            try await outpost.start()
            let history = DeliveryHistory()
            let client = outpost.client()
            let (keys, count) = (6, 60)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for key in 0..<keys {
                    group.addTask {
                        for number in 1...count {
                            let event = DeliveryHistory.Event("k\(key)", number)
                            history.attempting(event)
                            try await client.publish(event)
                            history.acknowledged(event)
                        }
                    }
                }
                group.addTask {
                    while history.distinct < keys * count {
                        try Task.checkCancellation()
                        try await client.handle { history.delivered($0) }
                    }
                }
                group.addTask {
                    for _ in 0..<5 {
                        try await Task.sleep(for: .milliseconds(Int.random(in: 100...400)))
                        await outpost.kill(SIGKILL)
                        try await outpost.start()
                    }
                }
                try await group.waitForAll()
            }
            #expect(history.findings(.atLeastOnce).isEmpty, "\(history.findings(.atLeastOnce).prefix(5))")
            let ids = try await client.all()
            #expect(ids.count == keys * count)
            #expect(Set(ids).count == ids.count, "each is in the log once")
            try await client.transport.shutdown()
            await outpost.kill(SIGTERM)
        }
    }
}

/// A running `dovetail` with the configuration of the Python example, in a folder and on ports of its own.
final class Outpost: Sendable {
    let folder: TemporaryFolder
    let port = Ports.next()
    let environment: [String: String]
    private let process = Box()

    private actor Box {
        var program: RunningProgram?
        func set(_ program: RunningProgram?) { self.program = program }
    }

    init(files: [String], edit: (String) -> String = { $0 }) throws {
        folder = try TemporaryFolder()
        environment = ["EVENTS_PORT": "\(port)", "RECEIPTS_PORT": "\(Ports.next())", "PYTHONDONTWRITEBYTECODE": "1"]
        for file in files {
            let text = try Checkout.text("Examples/Python/\(file)")
            try Data((file == "platform.yaml" ? edit(text) : text).utf8).write(
                to: URL(fileURLWithPath: "\(folder.path)/\(file)"))
        }
    }

    var log: String { (try? String(contentsOfFile: "\(folder.path)/run.log", encoding: .utf8)) ?? "" }

    func start() async throws {
        let program = try RunningProgram(
            Checkout.program("dovetail"), ["run"], in: folder.path, environment: environment,
            output: "\(folder.path)/run.log", errors: "\(folder.path)/run.log")
        await process.set(program)
        for _ in 0..<400 {
            if log.contains("events   http") { return }
            try await Task.sleep(for: .milliseconds(25))
        }
        Issue.record("it does not come up: \(log)")
    }

    func kill(_ signal: Int32) async {
        guard let program = await process.program else { return }
        program.send(signal)
        _ = await program.wait(atMost: .seconds(30))
        await process.set(nil)
    }

    fileprivate func client() -> OutsideClient {
        OutsideClient(transport: HTTPTransport(to: .tcp(host: "127.0.0.1", port: port), callee: "events"))
    }
}

/// A program outside that does not give up.
fileprivate struct OutsideClient: Sendable {
    let transport: HTTPTransport

    private func ask(_ method: HTTPRequest.Method, _ path: String, query: String? = nil, body: String = "") async throws
        -> JSONValue
    {
        var headers: HTTPFields = [.authorization: "Bearer a-development-token"]
        headers[.contentType] = path == "/events" ? "application/cloudevents+json" : "application/json"
        let request = RawRequest(method: method, path: path, query: query, headers: headers, body: Array(body.utf8))
        let response = try await transport.send(request, deadline: .now + .seconds(10))
        guard case .bytes(let bytes) = response.body else { return .null }
        guard response.status == .ok else {
            throw Refused(status: response.status.code, text: String(decoding: bytes, as: UTF8.self))
        }
        return try JSON.decode(JSONValue.self, from: bytes)
    }

    struct Refused: Error {
        let status: Int
        let text: String
    }

    /// Sends the event again until it is acknowledged.
    func publish(_ event: DeliveryHistory.Event) async throws {
        let body = """
            {"specversion":"1.0","id":"\(event.key)-\(event.number)","source":"/test","type":"order.placed","subject":"\(event.key)","data":\(event.number)}
            """
        while true {
            do {
                _ = try await ask(.post, "/events", body: body)
                return
            } catch is CallError {
                try await Task.sleep(for: .milliseconds(20))
            }
        }
    }

    /// Fetches what there is, and acknowledges it once `body` has it.
    func handle(_ body: (DeliveryHistory.Event) -> Void) async throws {
        do {
            let answer = try await ask(.post, "/subscriptions/invoices/fetch", query: "limit=20&wait=1")
            guard case .array(let deliveries)? = answer["deliveries"], !deliveries.isEmpty else { return }
            var tokens: [String] = []
            for delivery in deliveries {
                guard let token = delivery["token"]?.string, let key = delivery["event"]?["subject"]?.string,
                    case .integer(let number)? = delivery["event"]?["data"]
                else { continue }
                body(.init(key, Int(number)))
                tokens.append("\"\(token)\"")
            }
            _ = try await ask(
                .post, "/subscriptions/invoices/ack", body: #"{"tokens":[\#(tokens.joined(separator: ","))]}"#)
        } catch is CallError {
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// The ids of all events in the log.
    func all() async throws -> [String] {
        guard case .array(let events) = try await ask(.get, "/events", query: "from=beginning&limit=1000") else {
            return []
        }
        return events.compactMap { $0["id"]?.string }
    }
}
