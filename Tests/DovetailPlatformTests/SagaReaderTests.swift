import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailModules
import DovetailObservability
import DovetailSagas
import Foundation
import Testing

@testable import DovetailPlatform

private struct TripsAPI: Contract {
    let name = "trips", version = 1
    let booked = Event("trip.booked", Booked.self, key: \.id)
    struct Booked: Wire { var id: String }
}

/// What a node says of the readers of its sagas, and what an operator may do about them.
@Suite(.timeLimit(.minutes(1))) struct SagaReaderTests {
    @Test func aSagaThatCannotReadAnEventIsSeenAndBroughtPastIt() async throws {
        let module = Module("trips", provides: TripsAPI()) {
            for name in ["strict", "parking"] {
                let saga = Saga(name, startedBy: TripsAPI().booked) { $0 }.step("book") { _, _ in }
                $0.run(name == "parking" ? saga.parkingUndecodable() : saga)
            }
            $0.run(
                Saga("failing", startedBy: TripsAPI().booked) { $0 }.pivot().step("fail") { _, _ in
                    throw Problem("away", status: 503)
                }.parkingUndecodable())
        }
        let socket = "\(FileManager.default.temporaryDirectory.path)/dovetail-\(Int.random(in: 1...1_000_000)).sock"
        let configuration = try parse(
            """
            version: 1
            platform: test
            nodes: { main: { modules: [trips], store: { engine: memory } } }
            admin: { listen: "unix:\(socket)" }
            """)
        let node = try await Node.start(
            configuration, modules: [module], node: "main", telemetry: try Telemetry(configuration, node: "main"))
        let served = AsyncStream<Void>.makeStream()
        let running = Task { try await node.run { served.continuation.yield() } }
        for await _ in served.stream { break }
        func figures() async throws -> [String: Double] {
            let response = await node.metrics()
            guard case .bytes(let bytes) = response.body else { return [:] }
            let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
            let pairs = lines.filter { $0.hasPrefix("dovetail_saga") }.compactMap { line -> (String, Double)? in
                let parts = line.split(separator: " ")
                return parts.last.flatMap { Double($0) }.map { (String(parts[0]), $0) }
            }
            return Dictionary(pairs) { first, _ in first }
        }
        func eventually(_ isSo: ([String: Double]) -> Bool) async throws -> [String: Double] {
            var found = try await figures()
            while !isSo(found) {
                try await Task.sleep(for: .milliseconds(10))
                found = try await figures()
            }
            return found
        }
        let drafts = ["{}", #"{"id":"a"}"#].map {
            EventDraft(type: "trip.booked", key: "a", source: "t", data: Array($0.utf8))
        }
        _ = try await node.store.log.publish(drafts)
        let held = try await eventually {
            $0[#"dovetail_saga_reader_blocked{saga="strict"}"#] == 1
                && $0[#"dovetail_saga_reader_parked_events{saga="parking"}"#] == 1
                && $0[#"dovetail_sagas_failing{saga="failing"}"#] == 1
        }
        #expect(held[#"dovetail_saga_reader_blocked{saga="parking"}"#] == 0)
        #expect(held[#"dovetail_saga_reader_parked_events{saga="strict"}"#] == 0)
        #expect(try #require(held[#"dovetail_saga_reader_lag_events{saga="strict"}"#]) >= 2)
        #expect(held[#"dovetail_sagas_failing{saga="strict"}"#] == 0)
        #expect(held[#"dovetail_sagas_failing_seconds{saga="failing"}"#] != nil)
        let (admin, transport) = configuration.adminClient(of: "main", in: ".")
        let told = try #require(try await admin.status(.init()).sagaReaders?.first { $0.saga == "strict" })
        #expect(told.blockedAt == 1 && told.blocked?.hasPrefix("trip.booked at 1, tried ") == true)
        #expect(told.line.contains("blocked by trip.booked at 1"))
        for (saga, position, type) in [
            ("none", Int64(1), AdminAPI.unknown.type), ("parking", 1, AdminAPI.refused.type),
            ("strict", 2, AdminAPI.refused.type),
        ] {
            let problem = await #expect(throws: Problem.self) {
                _ = try await admin.passSagaEvent(.init(saga: saga, position: position))
            }
            #expect(problem?.type == type)
        }
        _ = try await admin.passSagaEvent(.init(saga: "strict", position: 1, reason: "a test's"))
        _ = try await eventually { $0[#"dovetail_saga_reader_blocked{saga="strict"}"#] == 0 }
        let list = try await admin.sagaReaders(.init())
        #expect(list.parked.filter { $0.saga == "strict" }.map(\.position) == [1])
        #expect(list.readers.first { $0.saga == "strict" }?.parked == 1)
        try await transport.shutdown()
        running.cancel()
        try? await running.value
    }
}
