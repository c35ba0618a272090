import DovetailCQRS
import DovetailContracts
import DovetailEvents
import DovetailModules
import DovetailObservability
import DovetailSagas
import Foundation
import Testing

@testable import DovetailPlatform

private struct NotesAPI: Contract {
    let name = "notes", version = 1
    let noted = Event("note.noted", Noted.self, key: \.id)
    struct Noted: Wire { var id: String }
}

/// What a node says of its read models' completeness.
@Suite(.timeLimit(.minutes(1))) struct ProjectionMetricsTests {
    private func notes(_ name: String) -> Projection {
        Projection(name, version: 1, tables: SQL(stringLiteral: "CREATE TABLE \(name) (id TEXT)"))
            .on(NotesAPI().noted) { noted, tables in
                try tables.execute(SQL(stringLiteral: "INSERT INTO \(name) VALUES ('\(noted.id)')"))
            }
    }

    @Test func metricsAndStatusSayWhetherAReadModelShowsAllThatItShould() async throws {
        let module = Module("notes", provides: NotesAPI()) {
            $0.project(notes("parking").parkingUndecodable())
            $0.project(notes("strict"))
        }
        let socket = "\(FileManager.default.temporaryDirectory.path)/dovetail-\(Int.random(in: 1...1_000_000)).sock"
        let configuration = try parse(
            """
            version: 1
            platform: test
            nodes: { main: { modules: [notes], store: { engine: memory } } }
            admin: { listen: "unix:\(socket)" }
            """)
        let node = try await Node.start(
            configuration, modules: [module], node: "main", telemetry: try Telemetry(configuration, node: "main"))
        let running = Task { try await node.run() }
        func figures() async throws -> [String: Double] {
            let response = await node.metrics()
            guard case .bytes(let bytes) = response.body else { return [:] }
            var figures: [String: Double] = [:]
            for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n")
            where line.hasPrefix("dovetail_projection_") {
                let parts = line.split(separator: " ")
                let name = String(parts[0]).replacing("dovetail_projection_", with: "").replacing(
                    "module=\"notes\",", with: "")
                figures[name] = parts.last.flatMap { Double($0) }
            }
            return figures
        }
        func eventually(_ isSo: ([String: Double]) -> Bool) async throws -> [String: Double] {
            var found = try await figures()
            for _ in 0..<500 where !isSo(found) {
                try await Task.sleep(for: .milliseconds(10))
                found = try await figures()
            }
            return found
        }
        let draft = { (data: String) in
            EventDraft(type: "note.noted", key: "a", source: "t", data: Array(data.utf8))
        }
        _ = try await node.store.log.publish([draft(#"{"id":"a"}"#)])
        let whole = try await eventually { $0[#"lag_events{projection="strict"}"#] == 0 }
        for name in ["parking", "strict"] {
            #expect(whole[#"parked_events{projection="\#(name)"}"#] == 0, "\(whole)")
            #expect(whole[#"blocked{projection="\#(name)"}"#] == 0)
            #expect(whole[#"complete{projection="\#(name)"}"#] == 1)
        }
        _ = try await node.store.log.publish([draft("{}"), draft(#"{"name":"b"}"#), draft(#"{"id":"c"}"#)])
        let broken = try await eventually { figures in
            figures[#"lag_events{projection="parking"}"#] == 0 && figures[#"blocked{projection="strict"}"#] == 1
        }
        #expect(broken[#"parked_events{projection="parking"}"#] == 2, "\(broken)")
        #expect(broken[#"blocked{projection="parking"}"#] == 0)
        #expect(broken[#"complete{projection="parking"}"#] == 0)
        #expect(broken[#"parked_events{projection="strict"}"#] == 0)
        #expect(broken[#"complete{projection="strict"}"#] == 0)
        let views = try await node.status(SagaJournal(log: node.store.log)).views
        #expect(views.map(\.projection) == ["parking", "strict"])
        #expect(views.map(\.parked) == [2, 0])
        #expect(views[0].blocked == nil)
        #expect(views[1].blocked?.hasPrefix("note.noted at 2: ") == true, "\(views)")
        // A build beside the active one has figures of its own.
        try await node.runtimes[0].readModel.rebuild("parking")
        let rebuilt = try await eventually { $0[#"parked_events{projection="parking#2"}"#] == 2 }
        #expect(rebuilt[#"parked_events{projection="parking#2"}"#] == 2, "\(rebuilt)")
        running.cancel()
        try? await running.value
        #expect(whole.count == 8)
    }

    @Test func aReadModelThatChangesWithItsEventsIsNotRebuiltBesideItself() async throws {
        struct Note: Wire { var id: String? }
        let aggregate = Aggregate("note", Note()).apply(NotesAPI().noted) { $0.id = $1.id }
        let module = Module("notes", provides: NotesAPI()) {
            $0.project(notes("kept"), with: aggregate)
            $0.project(notes("shown"))
        }
        let configuration = try parse(
            "{ version: 1, platform: test, nodes: { main: { modules: [notes], store: { engine: memory } } } }")
        let node = try await Node.start(
            configuration, modules: [module], node: "main", telemetry: try Telemetry(configuration, node: "main"))
        let running = Task { try await node.run() }
        #expect(try await node.runtimes[0].builds().map(\.projection) == ["kept", "shown"])
        _ = try node.readModel(of: "notes", keeping: "shown")
        let error = #expect(throws: LogError.self) { try node.readModel(of: "notes", keeping: "kept") }
        #expect(error?.description.contains("raise its version") == true)
        running.cancel()
        try? await running.value
    }
}
