import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailModules
import DovetailObservability
import Foundation
import Testing

@testable import DovetailPlatform

private struct EmptyAPI: Contract {
    let name = "empty", version = 1
}

/// How long a node keeps the answers under idempotency keys.
@Suite(.timeLimit(.minutes(1))) struct KeyRetentionTests {
    private func configuration(_ keep: String) throws -> PlatformConfiguration {
        let socket = "\(FileManager.default.temporaryDirectory.path)/dovetail-\(Int.random(in: 1...1_000_000)).sock"
        return try parse(
            """
            version: 1
            platform: test
            nodes: { main: { modules: [empty], store: { engine: memory\(keep) } } }
            admin: { listen: "unix:\(socket)" }
            """)
    }

    @Test("Answers are kept for ninety days, or as the node's store says")
    func configured() throws {
        #expect(try configuration("").nodes.first?.store.keepKeys == .seconds(90 * 86_400))
        #expect(try configuration(", keepKeys: 30d").nodes.first?.store.keepKeys == .seconds(30 * 86_400))
    }

    @Test("A node that runs forgets answers that are older than it keeps them, and no others")
    func sweeps() async throws {
        let configuration = try configuration(", keepKeys: 30d")
        let node = try await Node.start(
            configuration, modules: [Module("empty", provides: EmptyAPI()) { _ in }], node: "main",
            telemetry: try Telemetry(configuration, node: "main"))
        let log = node.store.log
        _ = try await log.transaction("answers", as: .engine) { transaction in
            for days in [29, 31, 400] {
                try transaction.execute(
                    """
                    INSERT INTO dovetail_answers (key, module, answer, answered_at)
                    VALUES (\("\(days)"), 'empty', '{}', \(Date().addingTimeInterval(Double(-days) * 86_400)))
                    """)
            }
        }
        let running = Task { try await node.run() }
        func keys() async throws -> [String] {
            try await log.snapshot { try $0.rows(String.self, "SELECT key FROM dovetail_answers ORDER BY key") }
        }
        while try await keys().count > 1 { try await Task.sleep(for: .milliseconds(5)) }
        #expect(try await keys() == ["29"])
        running.cancel()
        _ = await running.result
    }
}
