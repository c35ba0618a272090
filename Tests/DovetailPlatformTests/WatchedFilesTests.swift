import Foundation
import Testing

@testable import DovetailPlatform

/// What of the files behind a configuration counts as a change.
@Suite(.timeLimit(.minutes(1))) final class WatchedFilesTests {
    private let folder = FileManager.default.temporaryDirectory.path + "/dovetail-watched-\(UUID().uuidString)"

    init() throws { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    private func write(_ name: String, _ text: String) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
    }

    @Test func changesOfFilesWithKeysAreSeen() async throws {
        for name in ["platform.yaml", "a.pem", "a.key"] { try write(name, "first") }
        let watched = WatchedFiles(file: "\(folder)/platform.yaml", keys: ["\(folder)/a.pem", "\(folder)/a.key"])
        let (changes, change) = AsyncStream<String>.makeStream()
        let watching = Task { await watched.watch(every: .milliseconds(20)) { change.yield($0) } }
        var seen = changes.makeAsyncIterator()
        try await Task.sleep(for: .milliseconds(100))
        // Written again with the same in it, and so with another time: no change. What comes first is the next one.
        try write("a.pem", "first")
        try write("platform.yaml", "first")
        try await Task.sleep(for: .milliseconds(300))
        try write("a.key", "other")
        #expect(await seen.next() == "a file with certificates or keys changed")
        try write("platform.yaml", "other")
        #expect(await seen.next() == "the file changed")
        try FileManager.default.removeItem(atPath: "\(folder)/a.pem")
        #expect(await seen.next() == "a file with certificates or keys changed")
        // Without the file itself there is nothing to take over.
        try FileManager.default.removeItem(atPath: "\(folder)/platform.yaml")
        try await Task.sleep(for: .milliseconds(300))
        watched.look(at: ["\(folder)/b.pem"])
        try write("platform.yaml", "third")
        #expect(await seen.next() == "the file changed")
        try write("b.pem", "first")
        #expect(await seen.next() == "a file with certificates or keys changed")
        watching.cancel()
    }

    @Test func allFilesThatTheGatewayReadsAreNamed() throws {
        let text = """
            version: 1
            platform: edge
            nodes: { edge: { modules: [] } }
            gateway:
              node: edge
              tls: { certificates: [{ chain: a.pem, key: /keys/a.key }], clientAuthorities: clients.pem }
              authentication:
                one: { jwt: { issuer: "https://id.test", audience: shop, algorithms: [ES256], jwks: { file: set.json } } }
                two: { forward: { url: "https://id.test/verify", authorities: id.pem, principal: x-user } }
              routes: [{ path: /a, authentication: one, upstream: u }, { path: /b, authentication: two, upstream: u }]
            upstreams:
              u:
                servers: [https://10.0.0.1:443]
                tls: { authorities: u.pem, certificate: { chain: own.pem, key: own.key } }

            """
        let files = try parse(text).filesOfKeys(in: "/etc/edge")
        #expect(
            files
                == Set(
                    ["a.pem", "clients.pem", "set.json", "id.pem", "u.pem", "own.pem", "own.key"].map {
                        "/etc/edge/\($0)"
                    }
                        + ["/keys/a.key"]))
    }
}
