import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailPrivacy
import DovetailSagas
import Foundation
import Testing

/// What was kept before its field was personal.
@Suite(.timeLimit(.minutes(1))) struct UpcastingTests {
    private struct JoinedV1: Wire { var id: String, name: String }
    private struct Joined: Wire { var id: String, name: Personal<String> }

    private static let old = Event("member.joined", JoinedV1.self, key: \.id)
    private static let joined = old.upcast(to: Joined.self, key: \.id) {
        Joined(id: $0.id, name: Personal($0.name, of: $0.id))
    }

    private struct Member: Wire {
        var name: Personal<String>?
        var changes = 0

        static let aggregate = Aggregate("member", Member())
            .apply(UpcastingTests.joined) { member, joined in
                member.name = joined.name
                member.changes += 1
            }
            .snapshots(.every(2))
    }

    private struct Greeting: Wire {
        var name: Personal<String>
        var isOver: Bool?
    }

    private static let members = Projection(
        "members", version: 1, tables: "CREATE TABLE members (id TEXT PRIMARY KEY, name TEXT)"
    )
    .on(joined) { joined, tables in
        try tables.execute("INSERT OR REPLACE INTO members VALUES (\(joined.id), \(joined.name))")
    }

    private struct Row: Decodable, Equatable, Sendable { var id: String, name: Personal<String>? }

    @Test("What an upcaster makes of who is forgotten is absent, and read models, snapshots and sagas go on")
    func isAbsent() async throws {
        try await withFolder { folder in
            let node = try await TestNode(folder)
            let log = node.store.log
            for (id, name) in [("m-1", "ann"), ("m-1", "anna"), ("m-2", "bob"), ("m-2", "rob")] {
                let draft = try EventDraft(Self.old(.init(id: id, name: name)), source: "t", context: nil)
                _ = try await log.append([Append(stream: "member-\(id)", events: [draft])])
            }
            try await node.privacy.forget("m-1")
            try await node.withKeys {
                let model = ReadModel([Self.members], from: log, in: try node.store.views(module: "members"))
                try await model.prepare()
                let projecting = Task { try await model.run() }
                let rows = try await model.query(after: log.position(log.head), until: .now + .seconds(20)) {
                    try $0.rows(Row.self, "SELECT id, name FROM members ORDER BY id")
                }
                #expect(rows.map(\.id) == ["m-1", "m-2"] && rows.map(\.name?.value) == [nil, "rob"])
                projecting.cancel()
                try await projecting.value

                for (id, name) in [("m-1", nil), ("m-2", "rob")] {
                    let member = try await node.commands.state(Member.aggregate, id).0
                    #expect(member.name?.value == name && member.changes == 2)
                }
                // Its state is written, as a snapshot is.
                let gone = try await node.commands.state(Member.aggregate, "m-1").0
                #expect(try JSON.decode(Member.self, from: JSON.encode(gone)).name == nil)

                let journal = SagaJournal(log: log)
                try await journal.prepare()
                let saga = Saga("greet", startedBy: Self.joined) { Greeting(name: $0.name) }
                    .step("greet", into: \.isOver) { _, _ in true }
                let greeting = Task {
                    try await saga.runner(log: log, commands: node.commands, source: "t", wakeUps: SagaWakeUps()).run()
                }
                while try await journal.instances(limit: 10).count(where: { $0.status == .completed }) < 4 {
                    try await Task.sleep(for: .milliseconds(5))
                }
                let states = try await journal.instances(limit: 10).map {
                    try JSON.decode(Greeting.self, from: Array($0.state.utf8))
                }
                #expect(Set(states.map(\.name.value)) == [nil, "bob", "rob"])
                greeting.cancel()
                try? await greeting.value
            }
            await node.close()
        }
    }

    @Test(
        "An upcaster's value of who is not forgotten is as it says, also for another subject; one made anew is refused")
    func isThere() throws {
        let ring = try KeyRing(MemoryKeyStore())
        try ring.forget("m-1", reason: nil)
        try PersonalData.$vault.withValue(ring) {
            let moved = Self.joined.upcast(to: Joined.self, key: \.id) {
                Joined(id: $0.id, name: $0.name.of($0.id == "m-3" ? "m-1" : $0.id))
            }
            func read(_ id: String) throws -> Personal<String> {
                try moved.decode(try JSON.encode(JoinedV1(id: id, name: "ann")), version: 1).name
            }
            let read = try ["m-1", "m-2", "m-3"].map(read)
            #expect(read == [.forgotten("m-1"), Personal("ann", of: "m-2"), .forgotten("m-1")])
            #expect(Personal("ann", of: "m-1").value == "ann")
            #expect(throws: PersonalDataError(.subjectForgotten, "m-1")) { try JSON.encode(Personal("ann", of: "m-1")) }
        }
    }
}
