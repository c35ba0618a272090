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

/// A name that is read at the gateway, kept there, and changed by an event.
private struct NamesAPI: Contract {
    static let renamed = Event("name.changed", Renamed.self, key: \.id)

    let name = "names", version = 1
    let get = Endpoint.get("/names/{id}", Get.self, returns: Name.self)
        .cached(for: .seconds(600), invalidatedBy: .when(renamed) { Get(id: $0.id) })
    let rename = Endpoint.post("/renames", Renamed.self)
    let changed = NamesAPI.renamed

    struct Get: Wire { var id: String, hint: String? = nil }
    struct Name: Wire { var text: String }
    struct Renamed: Wire { var id: String, text: String }
}

@Suite(.timeLimit(.minutes(1))) struct CacheInvalidationTests {
    @Test func aContractsAnswersAreKeptUntilItsEventMakesThemStale() async throws {
        let names = Mutex<[String: String]>(["a b": "one", "c": "other"])
        let module = Module("names", provides: NamesAPI()) { module in
            module.handle(\.get) { input, _ in
                NamesAPI.Name(text: names.withLock { $0[input.id] ?? "" })
            }
            module.handle(\.rename) { _, _ in Empty() }
        }
        // Below those that the kernel gives to clients, of which one may be in use.
        let port = Int.random(in: 20_000..<32_768)
        let configuration = try PlatformConfiguration.parse(
            Array(
                """
                version: 1
                platform: test
                nodes: { main: { modules: [names], store: { engine: memory } } }
                gateway:
                  node: main
                  listen: 127.0.0.1:\(port)
                  routes: [{ contract: names@1, path: /api, authentication: none }]
                admin: { listen: "unix:\(FileManager.default.temporaryDirectory.path)/dovetail-\(port).sock" }
                """.utf8))
        let node = try await Node.start(
            configuration, modules: [module], node: "main", telemetry: try Telemetry(configuration, node: "main"))
        let (opened, open) = AsyncStream<Void>.makeStream()
        let running = Task {
            defer { open.finish() }
            try await node.run { open.yield() }
        }
        for await _ in opened { break }
        let transport = HTTPTransport(to: .tcp(host: "127.0.0.1", port: port), callee: "gateway")
        func get(_ path: String) async throws -> (text: String, cache: String) {
            let parts = path.split(separator: "?")
            let answer = try await transport.send(
                RawRequest(method: .get, path: String(parts[0]), query: parts.count > 1 ? String(parts[1]) : nil),
                deadline: nil)
            guard case .bytes(let bytes) = answer.body, let name = HTTPField.Name("cache-status") else {
                return ("", "")
            }
            return (try JSON.decode(NamesAPI.Name.self, from: bytes).text, answer.headers[name] ?? "")
        }
        for path in ["/api/names/a%20b", "/api/names/a%20b?hint=x", "/api/names/c"] { _ = try await get(path) }
        names.withLock { $0 = ["a b": "two", "c": "another"] }
        for path in ["/api/names/a%20b", "/api/names/a%20b?hint=x", "/api/names/c"] {
            let kept = try await get(path)
            #expect(kept.cache.contains("hit"), "\(kept)")
            #expect(kept.text != "two" && kept.text != "another")
        }
        let renamed = NamesAPI.renamed(.init(id: "a b", text: "two"))
        _ = try await node.store.log.publish([try EventDraft(renamed, source: "names", context: nil)])
        for path in ["/api/names/a%20b", "/api/names/a%20b?hint=x"] {
            var fresh = try await get(path)
            let deadline = MonotonicTime.now + .seconds(10)
            while fresh.text != "two", MonotonicTime.now < deadline { fresh = try await get(path) }
            #expect(fresh.text == "two")
        }
        let other = try await get("/api/names/c")
        #expect(other.text == "other", "what the event does not speak of is kept")
        try await transport.shutdown()
        running.cancel()
        _ = await running.result
    }

    @Test func anEventInvalidatesThePathOfItsInput() throws {
        let caching = try #require(NamesAPI().endpoints.first?.caching)
        let invalidation = try #require(caching.invalidations.first)
        #expect(caching.freshFor == .seconds(600))
        #expect(invalidation.topic == "name.changed")
        let path = try invalidation.path(Array(#"{"id":"a/b","text":"x"}"#.utf8), 1)
        #expect(path == "/names/a%2Fb")
        #expect(throws: (any Error).self) { try invalidation.path(Array("{}".utf8), 1) }
    }

    private static var answer: CachedResponse {
        CachedResponse(
            lines: [], status: 200, reason: [], body: .init(), vary: [],
            times: .init(
                storedAt: .now, initialAge: 0, lifetime: 60, staleWhileRevalidate: 0, staleIfError: 0, asksAlways: false
            ))
    }

    @Test func nothingThatWasAskedForBeforeAnEventIsKeptAfterIt() {
        let cache = ResponseCache(capacity: 1_000_000)
        let place = { (host: String) in ResponseCache.Key(place: Array("\(host) /a".utf8), rest: []) }
        let before = cache.invalidations
        cache.store(CacheInvalidationTests.answer, under: place("one"), since: before)
        cache.store(CacheInvalidationTests.answer, under: place("two:8080"), since: before)
        cache.invalidate(path: Array("/a".utf8))
        #expect(cache.usage.count == 0)
        cache.store(CacheInvalidationTests.answer, under: place("one"), since: before)
        #expect(cache.usage.count == 0)
        cache.store(CacheInvalidationTests.answer, under: place("one"), since: cache.invalidations)
        cache.invalidate(path: Array("/b".utf8))
        #expect(cache.usage.count == 1)
    }
}
