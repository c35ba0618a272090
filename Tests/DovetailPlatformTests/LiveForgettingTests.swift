import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailModules
import Foundation
import Testing

@testable import DovetailPlatform

/// Addresses that are read live.
private struct AddressesAPI: Contract {
    let name = "addresses", version = 1
    let moved = Event("address.moved", Moved.self, key: \.id)
    struct Moved: Wire { var id: String, address: Personal<String> }
}

@Suite(.timeLimit(.minutes(1))) struct LiveForgettingTests {
    @Test func aLiveQueryIsAnsweredAgainWhenSomebodyIsForgotten() async throws {
        let api = AddressesAPI()
        let addresses = Projection("addresses", version: 1, tables: "CREATE TABLE addresses (address TEXT)")
            .on(api.moved) { moved, tables in
                try tables.execute("INSERT INTO addresses VALUES (\(moved.address))")
            }
        let module = Module("addresses", provides: api) { $0.project(addresses) }
        let port = Int.random(in: 20_000..<32_768)
        let configuration = try parse(
            """
            version: 1
            platform: test
            nodes: { main: { modules: [addresses], store: { engine: memory } } }
            admin: { listen: "unix:\(FileManager.default.temporaryDirectory.path)/dovetail-\(port).sock" }
            """)
        let node = try await Node.start(
            configuration, modules: [module], node: "main", telemetry: try Telemetry(configuration, node: "main"))
        let running = Task { try await node.run() }
        try await PersonalData.$vault.withValue(node.store.keys) {
            let moved = api.moved(.init(id: "p", address: Personal("1 High Street", of: "p")))
            _ = try await node.store.log.publish([try EventDraft(moved, source: "t", context: nil)])
            var answers = node.runtimes[0].readModel.changes {
                try $0.rows(Personal<String>.self, "SELECT address FROM addresses").map(\.value)
            }.makeAsyncIterator()
            var answer = try await answers.next()
            while answer != ["1 High Street"] { answer = try await answers.next() }
            try await node.privacy.forget("p")
            #expect(try await answers.next() == [nil])
        }
        running.cancel()
        try? await running.value
    }
}
