import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailMemory
import DovetailTesting
import Testing

@testable import DovetailCQRS

/// A price that was a number of euros once, then of cents, and now has a currency.
private struct Priced: Wire, Equatable {
    var id: String, amount: Int, currency: String

    struct V1: Wire { var id: String, euros: Int }
    struct V2: Wire { var id: String, cents: Int }
    struct Odd: Error {}

    static let first = Event("thing.priced", V1.self, key: \.id)
    static let event = first.upcast(to: V2.self, key: \.id) { V2(id: $0.id, cents: $0.euros * 100) }
        .upcast(to: Priced.self, key: \.id) { old in
            guard old.cents >= 0 else { throw Odd() }
            return Priced(id: old.id, amount: old.cents, currency: "EUR")
        }

    static let aggregate = Aggregate("thing", Priced(id: "", amount: 0, currency: ""))
        .apply(event) { thing, priced in thing = priced }
}

@Suite struct EvolutionTests {
    private let store: MemoryStore
    private let log: any EventLog

    init() throws {
        store = try MemoryStore()
        log = store.log
    }

    private func append(_ version: Int, _ json: String, _ type: String = "thing.priced") async throws {
        _ = try await log.append([
            Append(
                stream: "thing-a",
                events: [EventDraft(type: type, version: version, key: "a", source: "old", data: Array(json.utf8))])
        ])
    }

    @Test("One declaration reads every older version: in aggregates, read models and typed subscriptions")
    func upcasts() async throws {
        #expect(Priced.event.version == 3)
        #expect(Priced.event.versions == 1...3)
        try await append(1, #"{"id":"a","euros":2}"#)
        try await append(2, #"{"id":"a","cents":350}"#)
        try await append(3, #"{"id":"a","amount":7,"currency":"SEK"}"#)
        let executor = CommandExecutor(log: log)
        var states: [Priced] = []
        for version in 1...3 {
            states.append(try await executor.state(Priced.aggregate, "a", asOf: .version(Int64(version))).0)
        }
        let expected = [
            Priced(id: "a", amount: 200, currency: "EUR"), Priced(id: "a", amount: 350, currency: "EUR"),
            Priced(id: "a", amount: 7, currency: "SEK"),
        ]
        #expect(states == expected)
        var read: [Priced] = []
        for event in try await log.events(after: 0, types: nil, limit: 10).events {
            read.append(try event.payload(Priced.event).payload)
        }
        #expect(read == expected)

        let prices = Projection(
            "prices", version: 1, tables: "CREATE TABLE prices (n BIGINT, amount BIGINT, currency TEXT)"
        )
        .on(Priced.event) { priced, tables in
            try tables.execute(
                "INSERT INTO prices VALUES (\(priced.position.number), \(priced.amount), \(priced.currency))")
        }
        let model = ReadModel([prices], from: log, in: try store.views(module: "m"))
        try await model.prepare()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await model.run() }
            let rows = try await model.query(after: log.position(3)) {
                try $0.rows(Priced.self, "SELECT 'a' AS id, amount, currency FROM prices ORDER BY n")
            }
            #expect(rows == expected)
            group.cancelAll()
        }

        let (came, arrivals) = AsyncStream<Priced>.makeStream()
        let bus = EventBus(
            log: log,
            subscriptions: [Subscription("typed", on: Priced.event) { priced, _ in arrivals.yield(priced.payload) }])
        await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await bus.run() }
            var delivered: [Priced] = []
            for await one in came {
                delivered.append(one)
                if delivered.count == 3 { break }
            }
            #expect(delivered == expected)
            group.cancelAll()
        }
    }

    @Test("A missing upcaster is named: event, stored version, wanted version, and what to write")
    func missing() async throws {
        let event = Event("thing.priced", version: 2, Priced.V2.self, key: \.id)
            .upcast(to: Priced.self, key: \.id) { Priced(id: $0.id, amount: $0.cents, currency: "EUR") }
        let aggregate = Aggregate("thing", Priced.aggregate.initial).apply(event) { $0 = $1 }
        try await append(1, #"{"id":"a","euros":2}"#)
        let error = await #expect(throws: AggregateError.self) {
            try await CommandExecutor(log: log).state(aggregate, "a")
        }
        let words = error?.description ?? ""
        for part in ["thing-a", "'thing.priced'", "stored in version 1", "version 3 is asked for", "up to version 2"] {
            #expect(words.contains(part), "\(words)")
        }
        #expect(words.contains(#"Event("thing.priced", version: 1, …).upcast(to: …)"#), "\(words)")
        let stored = try #require(try await log.event(at: 1))
        #expect(throws: EventVersionError(event: "thing.priced", stored: 1, wanted: 3, oldest: 2)) {
            try stored.payload(event)
        }
        try await append(9, "{}")
        let newer = try #require(try await log.event(at: 2))
        let late = #expect(throws: EventVersionError.self) { try newer.payload(event) }
        #expect(late?.description.contains("older than the log") == true)
    }

    @Test("An upcaster that fails is named with its step; a payload that does not fit is not taken for it")
    func failing() async throws {
        try await append(1, #"{"id":"a","euros":-1}"#)
        try await append(2, #"{"id":"a"}"#)
        let first = try #require(try await log.event(at: 1))
        let error = #expect(throws: UpcastError.self) { try first.payload(Priced.event) }
        #expect(error?.from == 2)
        let second = try #require(try await log.event(at: 2))
        #expect(throws: JSONError.self) { try second.payload(Priced.event) }
    }

    @Test("A function for a version itself goes before an upcaster, whichever is declared first")
    func exactFirst() async throws {
        try await append(1, #"{"id":"a","euros":2}"#)
        for flipped in [false, true] {
            var aggregate = Aggregate("thing", Priced.aggregate.initial)
            if flipped { aggregate = aggregate.apply(Priced.event) { $0 = $1 } }
            aggregate = aggregate.apply(Priced.first) { thing, old in thing.amount = old.euros }
            if !flipped { aggregate = aggregate.apply(Priced.event) { $0 = $1 } }
            #expect(try await CommandExecutor(log: log).state(aggregate, "a").0.amount == 2)
        }
    }

    @Test("What is decided in a version that is only read is refused, and not passed over")
    func decidesOld() async throws {
        await #expect(throws: AggregateError.self) {
            try await CommandExecutor(log: log).execute(Priced.aggregate, "a", source: "t", context: nil) { _ in
                [Priced.first(.init(id: "a", euros: 1))]
            }
        }
        #expect(log.head == 0)
    }

    @Test("Given what happened, when something is asked for, then this follows; what differs is told")
    func scenarios() throws {
        let moved = { Account.moved(.init(id: "a", amount: $0)) }
        let rich = Scenario(Account.aggregate).given(moved(10))
        try rich.when { try $0.move(-4) }.then(moved(-4)).thenState { $0.balance == 6 }
        try rich.when { try $0.move(-14) }.thenRefused(Account.Refused(balance: 10))
        try rich.given(Account.closed(.init(id: "a"))).when { $0.close() }.thenNothing()
        #expect(throws: ScenarioFailure.self) { try rich.when { try $0.move(-4) }.then(moved(-5)) }
        #expect(throws: ScenarioFailure.self) { try rich.when { try $0.move(-4) }.thenNothing() }
        #expect(throws: ScenarioFailure.self) { try rich.when { try $0.move(-14) }.then(moved(-14)) }
        #expect(throws: ScenarioFailure.self) {
            try rich.when { try $0.move(1) }.thenRefused(Account.Refused(balance: 10))
        }
        #expect(throws: ScenarioFailure.self) {
            try rich.when { try $0.move(-14) }.thenRefused(Account.Refused(balance: 11))
        }
        #expect(throws: ScenarioFailure.self) { try rich.when { $0.close() }.thenState { !$0.isClosed } }
        // A dictionary has another order each time.
        struct Tagged: Wire { var id: String, tags: [String: Int] }
        let tagged = Event("thing.tagged", Tagged.self, key: \.id)
        let tags = { Dictionary(uniqueKeysWithValues: (0..<20).shuffled().map { ("t\($0)", $0) }) }
        try Scenario(Aggregate("thing", 0).apply(tagged) { _, _ in })
            .when { _ in [tagged(.init(id: "a", tags: tags()))] }.then(tagged(.init(id: "a", tags: tags())))
        try Scenario(Priced.aggregate).given(stored: "thing.priced", version: 1, #"{"id":"a","euros":3}"#)
            .when { _ in [] }.thenState { $0.amount == 300 }
        #expect(throws: AggregateError.self) {
            try Scenario(Priced.aggregate).given(stored: "thing.priced", version: 1, "{}").when { _ in [] }
        }
    }
}

extension EventLog {
    /// The event at a number.
    func event(at number: Int64) async throws -> StoredEvent? {
        try await events(after: number - 1, types: nil, limit: 1).events.first
    }
}
