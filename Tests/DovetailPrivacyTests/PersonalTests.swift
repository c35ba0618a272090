import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailMemory
import DovetailPrivacy
import DovetailTesting
import Foundation
import Testing

/// A personal value in memory, in JSON, in statements and in schemas.
@Suite struct PersonalTests {
    private let ring: KeyRing

    init() throws { ring = try KeyRing(MemoryKeyStore()) }

    private func withKeys<Value>(_ body: () throws -> Value) rethrows -> Value {
        try PersonalData.$vault.withValue(ring, operation: body)
    }

    private let ann = Registered(
        id: "c-1", email: Personal("ann@example.com", of: "c-1"), phone: Personal("+43 1 234", of: "c-1"))

    @Test("At rest a personal value is sealed, and comes back as it was; what was read is written as the same text")
    func sealsAtRest() throws {
        try withKeys {
            let bytes = try JSON.encode(ann)
            let text = String(decoding: bytes, as: UTF8.self)
            #expect(!text.contains("ann@") && !text.contains("+43"))
            let read = try JSON.decode(Registered.self, from: bytes)
            #expect(read == ann)
            #expect(try JSON.encode(read) == bytes)
            // The same value, written twice, is told from itself by nobody.
            #expect(try JSON.encode(ann) != bytes)
        }
    }

    @Test("Over HTTP a personal value is the value, or null")
    func tellsPlainly() throws {
        let answer = AnswerCodec<Registered>.json
        guard case .bytes(let bytes) = try answer.encode(ann) else { return }
        #expect(
            String(decoding: bytes, as: UTF8.self) == #"{"id":"c-1","email":"ann@example.com","phone":"+43 1 234"}"#)
        let read = try JSON.decode(Registered.self, from: bytes, personal: .plain)
        #expect(read.email.value == "ann@example.com" && read.email.subject == nil)
        let gone = Registered(id: "c-1", email: .forgotten("c-1"))
        guard case .bytes(let told) = try answer.encode(gone) else { return }
        #expect(String(decoding: told, as: UTF8.self) == #"{"id":"c-1","email":null}"#)
        #expect(try JSON.decode(Registered.self, from: told, personal: .plain).email.isForgotten)
    }

    @Test("A sealed text that somebody sends is no way to have it opened")
    func isNoOracle() throws {
        try withKeys {
            let sealed = try JSON.encode(ann.email)
            let read = try JSON.decode(Personal<String>.self, from: sealed, personal: .plain)
            #expect(read.value?.hasPrefix("dvp1.") == true)
        }
    }

    @Test("A value that came from outside is kept only once it is said whose it is")
    func needsASubject() throws {
        try withKeys {
            let read = try JSON.decode(Personal<String>.self, from: Array(#""ann""#.utf8), personal: .plain)
            #expect(throws: PersonalDataError(.noSubject, "a personal value")) { try JSON.encode(read) }
            #expect(try JSON.decode(Personal<String>.self, from: JSON.encode(read.of("c-1"))).value == "ann")
            #expect(throws: PersonalDataError.self) { try JSON.encode(Personal("a", of: "")) }
        }
    }

    @Test("Without keys nothing is written or read, and it is said what to do")
    func needsKeys() throws {
        let error = #expect(throws: PersonalDataError.self) { try JSON.encode(ann) }
        #expect(error?.code == .noVault && error?.description.contains("PersonalData.$vault") == true)
        let sealed = try withKeys { try JSON.encode(ann) }
        #expect(throws: PersonalDataError.self) { try JSON.decode(Registered.self, from: sealed) }
        // Nor by a coder that is not the platform's.
        #expect(throws: (any Error).self) { try JSONEncoder().encode(ann) }
    }

    @Test("It never describes itself", arguments: [Personal("ann@example.com", of: "c-1"), .forgotten("c-1")])
    func describesNothing(_ value: Personal<String>) throws {
        struct Around { var email: Personal<String>, phone: Personal<String>? }
        let around = Around(email: value, phone: value)
        var dumped = ""
        dump(around, to: &dumped)
        for text in ["\(around)", "\(value)", String(reflecting: value), String(reflecting: around), dumped] {
            #expect(!text.contains("ann@"))
        }
        #expect(Mirror(reflecting: value).children.isEmpty)
    }

    @Test("An error says nothing of the value, whatever is wrong with it")
    func errorsSayNothing() throws {
        try withKeys {
            let sealed = try JSON.encode(Personal("ann@example.com", of: "c-1"))
            let error = #expect(throws: PersonalDataError.self) {
                try JSON.decode(Personal<Int>.self, from: sealed)
            }
            #expect(error?.code == .misfit)
            #expect(!"\(String(describing: error))".contains("ann@"))
            let plain = #expect(throws: PersonalDataError.self) {
                try JSON.decode(Personal<String>.self, from: Array(#""ann@example.com""#.utf8))
            }
            #expect(plain?.code == .notSealed && !"\(String(describing: plain))".contains("ann@"))
        }
    }

    @Test("Its schema is that of the value, or null")
    func hasTheValuesSchema() throws {
        var catalog = SchemaCatalog()
        let schema = try catalog.schema(of: Registered.self)
        let properties = catalog.properties(of: schema)
        #expect(properties.first { $0.name == "email" } == .required("email", Schema.string.orNull))
        #expect(properties.first { $0.name == "phone" } == .optional("phone", .string))
        #expect(catalog.hasPersonalData)
        var other = SchemaCatalog()
        _ = try other.schema(of: [String: Int].self)
        #expect(!other.hasPersonalData)
    }

    @Test("A column holds it sealed; a statement with one that cannot be sealed fails and changes nothing")
    func bindsSealed() async throws {
        let store = try MemoryStore()
        let ann = ann
        try await PersonalData.$vault.withValue(store.keys) {
            try await store.log.transaction { tables in
                try tables.execute("CREATE TABLE people (id TEXT, email TEXT, phone TEXT)")
                try tables.execute("INSERT INTO people VALUES ('c-1', \(ann.email), \(ann.phone))")
                try tables.execute("INSERT INTO people VALUES ('c-2', \(ann.email), \(nil as Personal<String>?))")
            }
            let raw = try await store.log.snapshot { try $0.rows(String.self, "SELECT email FROM people") }
            #expect(raw.allSatisfy { $0.hasPrefix("dvp1.") } && Set(raw).count == 2)
            let rows = try await store.log.snapshot {
                try $0.rows(Listed.self, "SELECT * FROM people ORDER BY id")
            }
            #expect(rows.map(\.email.value) == ["ann@example.com", "ann@example.com"])
            #expect(rows.map(\.phone) == [ann.phone, nil])
            #expect(
                try await store.log.snapshot { try $0.rows(Personal<String>.self, "SELECT email FROM people") }.count
                    == 2)
            try store.keys.forget("c-9", reason: nil)
            await #expect(throws: PersonalDataError(.subjectForgotten, "c-9")) {
                try await store.log.transaction { tables in
                    try tables.execute("DELETE FROM people")
                    try tables.execute("INSERT INTO people VALUES ('c-9', \(Personal("x", of: "c-9")), NULL)")
                }
            }
            #expect(try await store.log.snapshot { try $0.rows(String.self, "SELECT email FROM people") }.count == 2)
        }
    }

    @Test("Those outside get null in the place of each personal value, and no filter looks into one")
    func withholds() throws {
        try withKeys {
            var event = Registered(id: "c-1", email: Personal("ann@example.com", of: "c-1"), phone: nil)
            event.note = #"she says "dvp1.a.b" and \"dvp1"#
            let draft = try EventDraft(Customer.registered(event), source: "customers", context: nil)
            let stored = StoredEvent(
                position: LogPosition(log: .v7(), epoch: 1, number: 1), stream: nil, time: Date(), draft: draft)
            let told = try #require(CloudEvent(stored).data)
            let value = try JSON.decode(JSONValue.self, from: told)
            #expect(value["email"] == .null && value["id"] == .string("c-1"))
            #expect(value["note"] == .string(event.note ?? ""))
            for filter: EventFilter in [
                EventField.data("email").exists, .data("email") == "ann@example.com",
                EventField.data("email").hasPrefix("dvp1"),
            ] {
                #expect(!filter.wants(stored))
            }
            #expect((EventField.data("id") == "c-1").wants(stored))
        }
    }

    @Test("A field that is named as a sealed value looks stays what it is, and what those outside get is JSON")
    func leavesNames() throws {
        try withKeys {
            let text = try #require(try Personal("ann", of: "c-1").sealedText())
            let json = #"{"\#(text)": "\#(text)","a":["\#(text)" , 1],"\#(text)b" :1}"#
            let told = SealedText.withheld(from: Array(json.utf8))
            #expect(String(decoding: told, as: UTF8.self) == #"{"\#(text)": null,"a":[null , 1],"\#(text)b" :1}"#)
        }
    }

    @Test("A scenario compares personal values, and whose they are")
    func comparesInScenarios() throws {
        let scenario = Scenario(Customer.aggregate).given(Customer.registered(ann))
        let decided = try scenario.when {
            [Customer.registered(.init(id: "c-1", email: $0.email ?? .forgotten("c-1")))]
        }
        try decided.then(Customer.registered(.init(id: "c-1", email: Personal("ann@example.com", of: "c-1"))))
        #expect(throws: ScenarioFailure.self) {
            try decided.then(Customer.registered(.init(id: "c-1", email: Personal("ann@example.com", of: "c-2"))))
        }
        try scenario.when { _ in [Customer.registered(.init(id: "c-1", email: .forgotten("c-1")))] }
            .thenState { $0.email?.isForgotten == true }
    }
}

extension EventFilter {
    fileprivate func wants(_ event: StoredEvent) -> Bool { Interest(topics: ["#"], filter: self).wants(event) }
}
