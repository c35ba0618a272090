import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailTesting
import Foundation
import Testing

@testable import DovetailSagas

/// What becomes of a saga whose events cannot be read.
@Suite(.timeLimit(.minutes(1))) struct SagaIntakeTests {
    /// The event that starts a trip, by a program that reads what today's cannot.
    private struct Lenient: Wire {
        var id: String

        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            id = try container.decodeIfPresent(String.self, forKey: .id) ?? "nameless"
        }
    }

    private func lenient() -> Saga<Booking> {
        Saga("trip", startedBy: Event("trip.booked", Lenient.self, key: \.id)) { Booking(.init(id: $0.id)) }
    }

    private let unreadable = EventDraft(type: "trip.booked", key: "7", source: "test", data: Array("{}".utf8))

    private func eventually(_ isSo: () async throws -> Bool) async throws {
        while try await !isSo() { try await Task.sleep(for: .milliseconds(2)) }
    }

    @Test("An event that cannot be read holds its saga up, where everybody sees it, until an operator has it put aside")
    func passed() async throws {
        let node = try await TestNode()
        let ledger = Ledger()
        let service = node.service(tripSaga().calls(ledger, "flight"))
        let task = Task { try await service.run() }
        _ = try await node.log.publish([unreadable])
        try await node.publish([booked("8")])
        try await eventually { service.reader?.blocked != nil }
        let blocked = try #require(service.reader?.blocked)
        #expect(blocked.position == 1 && blocked.type == "trip.booked" && blocked.error.contains("id"))
        #expect(service.reader?.scanned == 0 && service.reader?.saga == "trip")
        #expect(try await node.journal.instances().isEmpty)
        await #expect(throws: SagaRefusal.self) { try await node.journal.pass("trip", position: 99, error: "") }
        try await node.journal.pass("trip", position: 1, error: blocked.error, reason: "a test's")
        try await node.wait { $0[.completed] == 1 }
        try await eventually { service.reader?.blocked == nil }
        #expect(ledger.effects == ["flight 8"])
        let parked = try await node.journal.parked()
        #expect(parked.map(\.position) == [1] && parked.map(\.error) == [blocked.error])
        #expect(try await node.journal.parkedCounts() == ["trip": 1])
        let record = try await node.log.events(after: 0, types: ["$operator.saga-passed"], limit: 10).events
        let told = try record.map { try JSON.decode(SagaJournal.Passing.self, from: $0.data) }
        #expect(told.map(\.position) == [1] && told.map(\.reason) == ["a test's"])
        task.cancel()
        try await task.value
    }

    @Test("A saga that puts aside what it cannot read goes on, and takes it in when a program comes that can")
    func parked() async throws {
        let node = try await TestNode()
        let ledger = Ledger()
        let saga = tripSaga().calls(ledger, "flight").wait("payment", for: TripAPI().paid, key: \.trip, into: \.paid)
            .parkingUndecodable()
        // Of a version that no upcaster leads from.
        let odd = EventDraft(type: "trip.paid", version: 9, key: "8", source: "test", data: Array("{}".utf8))
        try await node.running(saga) {
            _ = try await node.log.publish([unreadable, odd])
            try await node.publish([booked("8"), paid("8")])
            try await node.wait { $0[.completed] == 1 }
        }
        #expect(try await node.journal.parked(of: "trip").map(\.position) == [1, 2])
        // Not by the same program.
        try await node.running(saga) {
            try await node.publish([booked("9"), paid("9")])
            try await node.wait { $0[.completed] == 2 }
        }
        #expect(try await node.journal.parkedCounts() == ["trip": 2])
        try await node.running(lenient().calls(ledger, "flight")) {
            try await node.wait { $0[.completed] == 3 }
        }
        #expect(ledger.effects == ["flight 8", "flight 9", "flight nameless"])
        #expect(try await node.journal.parked(of: "trip").map(\.position) == [2])
        // It is taken in once.
        try await node.running(lenient().calls(ledger, "flight")) {
            try await node.publish([booked("10")])
            try await node.wait { $0[.completed] == 4 }
        }
        #expect(ledger.calls.count == 4)
    }

    @Test("What a saga cannot read of what is stored is found by a look at all of it")
    func checkStored() async throws {
        let node = try await TestNode()
        let saga = tripSaga().wait("payment", for: TripAPI().paid, key: \.trip, into: \.paid)
        let odd = EventDraft(type: "trip.paid", key: "8", source: "test", data: Array("[]".utf8))
        _ = try await node.log.publish([unreadable, odd])
        try await node.publish([booked("8"), paid("8")])
        let report = try await StoredEventCheck([saga.eventReaders]).run(on: node.log)
        #expect(report.findings.map(\.type) == ["trip.booked", "trip.paid"])
        #expect(report.findings.map(\.part) == ["the saga 'trip'", "the saga 'trip'"])
        #expect(report.findings.map(\.first) == [1, 2] && report.unread.isEmpty)
    }

    @Test("A harness puts aside what its saga does, and throws what another's cannot read")
    func harness() async throws {
        for parks in [true, false] {
            let harness = try await SagaHarness()
            let saga = tripSaga().calls(Ledger(), "flight")
            try await harness.add(parks ? saga.parkingUndecodable() : saga)
            _ = try await harness.log.publish([unreadable])
            if parks {
                try await harness.run()
                #expect(try await SagaJournal(log: harness.log).parked().map(\.type) == ["trip.booked"])
            } else {
                await #expect(throws: JSONError.self) { try await harness.run() }
            }
        }
    }
}
