import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailHTTP
import DovetailModules
import Foundation
import HTTPTypes
import Synchronization
import Testing

@testable import DovetailGateway
@testable import DovetailPlatform

/// A sum that is read live.
private struct SumsAPI: Contract {
    let name = "sums", version = 1
    let watch = Endpoint.get("/sums/{id}/watch", ByID.self, streams: Sum.self)
    let added = Event("sum.added", Added.self, key: \.id)

    struct ByID: Wire { var id: String }
    struct Sum: Wire, Equatable { var value: Int }
    struct Added: Wire { var id: String, amount: Int }
}

/// How many live queries are at work: each has an iterator.
private final class Watchers: Sendable {
    private let alive = Mutex(0)

    var count: Int { alive.withLock { $0 } }

    func change(by difference: Int) { alive.withLock { $0 += difference } }
}

/// The same items, and counted who iterates over them.
private struct Watched<Base: AsyncSequence & Sendable>: AsyncSequence, Sendable {
    let base: Base
    let watchers: Watchers

    final class Iterator: AsyncIteratorProtocol {
        private var base: Base.AsyncIterator
        private let watchers: Watchers

        init(_ base: Base.AsyncIterator, _ watchers: Watchers) {
            (self.base, self.watchers) = (base, watchers)
            watchers.change(by: 1)
        }

        deinit { watchers.change(by: -1) }

        func next() async throws -> Base.Element? { try await base.next() }
    }

    func makeAsyncIterator() -> Iterator { Iterator(base.makeAsyncIterator(), watchers) }
}

@Suite(.timeLimit(.minutes(1)), .serialized) struct LiveQueryOverHTTPTests {
    private static let api = SumsAPI()

    private static func module(_ watchers: Watchers) -> Module {
        let sums = Projection(
            "sums", version: 1, tables: "CREATE TABLE sums (id TEXT PRIMARY KEY, value BIGINT NOT NULL)"
        )
        .on(api.added) { added, tables in
            try tables.execute(
                """
                INSERT INTO sums (id, value) VALUES (\(added.id), \(added.amount))
                ON CONFLICT (id) DO UPDATE SET value = sums.value + excluded.value
                """)
        }
        return Module("sums", provides: api) { module in
            module.project(sums)
            module.handle(\.watch) { query, context in
                AnswerStream(
                    Watched(
                        base: context.changes {
                            SumsAPI.Sum(
                                value: try $0.row(Int.self, "SELECT value FROM sums WHERE id = \(query.id)") ?? 0)
                        }, watchers: watchers))
            }
        }
    }

    /// The lines of a live query as they come; ends the request when `body` returns.
    private static func watching(_ id: String, port: Int, _ body: (inout Lines) async throws -> Void) async throws {
        let transport = HTTPTransport(to: .tcp(host: "127.0.0.1", port: port), callee: "gateway")
        let (lines, found) = AsyncThrowingStream<[UInt8], any Error>.makeStream()
        let caller = Task {
            do {
                let answer = try await transport.send(
                    RawRequest(method: .get, path: "/api/sums/\(id)/watch", query: nil), deadline: nil)
                guard answer.status == .ok, case .stream(let chunks) = answer.body else {
                    throw PlatformError("it was answered \(answer.status) without a stream")
                }
                for try await chunk in chunks { found.yield(Array(chunk)) }
                found.finish()
            } catch {
                found.finish(throwing: error)
            }
        }
        var read = Lines(chunks: lines.makeAsyncIterator())
        do { try await body(&read) } catch {
            caller.cancel()
            await caller.value
            try await transport.shutdown()
            throw error
        }
        caller.cancel()
        await caller.value
        try await transport.shutdown()
    }

    private struct Lines {
        var chunks: AsyncThrowingStream<[UInt8], any Error>.AsyncIterator
        var rest: [UInt8] = []

        mutating func next() async throws -> SumsAPI.Sum? {
            while true {
                if let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                    defer { rest.removeSubrange(...end) }
                    return try JSON.decode(SumsAPI.Sum.self, from: Array(rest[..<end]))
                }
                guard let chunk = try await chunks.next() else { return nil }
                rest += chunk
            }
        }
    }

    @Test(arguments: [false, true])
    func aLineComesForEachChangeAndNothingIsLeftWhenTheCallerHasGone(isElsewhere: Bool) async throws {
        let watchers = Watchers()
        let module = Self.module(watchers)
        // Below the ports that the kernel gives to clients.
        let port = Int.random(in: 20_000..<30_000)
        let folder = FileManager.default.temporaryDirectory.path
        let back = "{ modules: [sums], listen: 127.0.0.1:\(port + 2_000), store: { engine: memory } }"
        let configuration = try parse(
            """
            version: 1
            platform: test
            nodes:
              main: { modules: \(isElsewhere ? "[]" : "[sums]"), store: { engine: memory } }
              \(isElsewhere ? "back: \(back)" : "")
            gateway:
              node: main
              listen: 127.0.0.1:\(port)
              routes: [{ contract: sums@1, path: /api, authentication: none }]
            admin: { listen: "unix:\(folder)/dovetail-\(port).sock" }
            """)
        var nodes: [Node] = []
        var running: [Task<Void, any Error>] = []
        for name in isElsewhere ? ["back", "main"] : ["main"] {
            let node = try await Node.start(
                configuration, modules: [module], node: name, telemetry: try Telemetry(configuration, node: name))
            let (opened, open) = AsyncStream<Void>.makeStream()
            nodes.append(node)
            running.append(
                Task {
                    defer { open.finish() }
                    try await node.run { open.yield() }
                })
            var isOpen = false
            for await _ in opened {
                isOpen = true
                break
            }
            // Whatever keeps it from opening is the test's failure.
            if !isOpen { try await running.last?.value }
        }
        func add(_ amount: Int, to id: String) async throws {
            let added = Self.api.added(.init(id: id, amount: amount))
            _ = try await nodes[0].store.log.publish([try EventDraft(added, source: "t", context: nil)])
        }
        try await Self.watching("a", port: port) { lines in
            #expect(try await lines.next()?.value == 0)
            for sum in 1...20 {
                try await add(1, to: "a")
                // What does not change the answer brings no line.
                if sum % 5 == 0 { try await add(1, to: "b") }
                let line = try await lines.next()
                #expect(line?.value == sum)
            }
            try await Self.watching("b", port: port) { others in
                let first = try await others.next()
                #expect(first?.value == 4)
                #expect(watchers.count == 2)
            }
            for _ in 0..<500 where watchers.count > 1 { try await Task.sleep(for: .milliseconds(10)) }
            #expect(watchers.count == 1, "who has gone is let go of, and who is there is not")
            try await add(1, to: "a")
            let last = try await lines.next()
            #expect(last?.value == 21)
        }
        for _ in 0..<500 where watchers.count > 0 { try await Task.sleep(for: .milliseconds(10)) }
        #expect(watchers.count == 0, "nothing runs on for a caller who has gone")
        for node in running.reversed() {
            node.cancel()
            _ = await node.result
        }
    }
}
