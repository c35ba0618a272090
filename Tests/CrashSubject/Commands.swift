import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailSQLite
import Foundation

/// Commands under idempotency keys with snapshots, a read model in their transactions and one beside, until the process is killed. Streams are compacted and deleted for good, builds switched and rolled back.
///
/// A line is one letter, an instance and a number: `t` about to be asked for, `a` answered, `d` deleted for good, `s` how many commands an instance shows in the end, `g` gone in the end, `!` what does not
/// add up. All is looked over at each start, as the life before has left it.
enum Commands {
    /// What the commands of an instance add up to: each adds its number twice.
    struct Tally: Wire, Equatable {
        var last = 0, count = 0, sum = 0

        static let added = Event("tally.added", Added.self, key: \.id)
        static let plain = Aggregate("tally", Tally()).apply(added) { tally, added in
            tally.last = added.number
            tally.count += 1
            tally.sum += added.number
        }
        static let aggregate = plain.snapshots(.every(6))

        func add(_ number: Int, _ id: String) -> [NewEvent] {
            Array(repeating: Self.added(.init(id: id, number: number)), count: 2)
        }

        /// Whether each number up to the last is there, once for each of its two events.
        var addsUp: Bool { count == 2 * last && sum == last * (last + 1) }
    }

    struct Added: Wire { var id: String, number: Int }

    static let instances = ["k0", "k1", "k2"]
    /// The one whose events are truncated to its snapshots.
    static let compacted = "k0"
    static let perRun = 5

    /// The same in the transactions of the events.
    static let inline = Projection(
        "inline", version: 1,
        tables:
            "CREATE TABLE inline (id TEXT PRIMARY KEY, last BIGINT NOT NULL, count BIGINT NOT NULL, sum BIGINT NOT NULL)"
    )
    .on(Tally.added) { added, tables in
        try tables.execute(
            """
            INSERT INTO inline VALUES (\(added.payload.id), \(added.payload.number), 1, \(added.payload.number))
            ON CONFLICT (id) DO UPDATE SET last = excluded.last, count = count + 1, sum = sum + excluded.sum
            """)
    }

    /// The same beside.
    static let beside = Projection(
        "beside", version: 1,
        tables:
            "CREATE TABLE beside (id TEXT PRIMARY KEY, last BIGINT NOT NULL, count BIGINT NOT NULL, sum BIGINT NOT NULL)"
    )
    .on(Tally.added) { added, tables in
        try tables.execute(
            """
            INSERT INTO beside VALUES (\(added.payload.id), \(added.payload.number), 1, \(added.payload.number))
            ON CONFLICT (id) DO UPDATE SET last = excluded.last, count = count + 1, sum = sum + excluded.sum
            """)
    }

    static func main(_ folder: String, isLast: Bool) async throws {
        let store = try SQLiteStore.open(folder + "/log.db", options: .init(checkpointPages: 40, ballastBytes: 4096))
        let commands = CommandExecutor(log: store.log)
        try await commands.project(inline, with: Tally.aggregate, as: "shop")
        let model = ReadModel([beside], from: store.log, in: try store.views(module: "shop"))
        try await model.prepare()
        let running = Task { try await model.run() }
        try await lookOver(store, model)
        if !isLast {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for id in instances { group.addTask { try await run(id, commands, store.log) } }
                group.addTask { try await delete(commands, store.log) }
                group.addTask { for _ in 0..<3 { try await turn(model) } }
                try await group.waitForAll()
            }
            try await lookOver(store, model)
        } else {
            for id in instances { say("s", id, try await commands.state(Tally.aggregate, id).0.last) }
            for id in try await doomed(store.log) {
                if try await store.log.streamStatus(Tally.aggregate.stream(id))?.tombstonedAt != nil { say("g", id, 0) }
            }
        }
        running.cancel()
        _ = await running.result
        await store.close()
    }

    /// Asks for the next commands of an instance; first for the last one again, as a caller does that has lost the answer.
    private static func run(_ id: String, _ commands: CommandExecutor, _ log: any EventLog) async throws {
        let known = try await commands.state(Tally.aggregate, id)
        for number in max(1, known.0.last)...(known.0.last + perRun) {
            say("t", id, number)
            let outcome = try await commands.execute(
                Tally.aggregate, id, key: "\(id) \(number)", source: "t", context: nil
            ) { $0.add(number, id) }
            say("a", id, number)
            if outcome.version != Int64(2 * number) { say("!", "\(id)-answers-\(outcome.version)-for", number) }
            if outcome.wasDuplicate != (number == known.0.last) { say("!", "\(id)-is-no-duplicate-at", number) }
            if id == compacted, number % 4 == 0 { try await commands.compact(Tally.aggregate, id) }
        }
    }

    /// Makes an instance and deletes it for good.
    private static func delete(_ commands: CommandExecutor, _ log: any EventLog) async throws {
        let id = "x\(log.head)"
        try await commands.execute(Tally.aggregate, id, source: "t", context: nil) { $0.add(1, id) }
        try await commands.tombstone(Tally.aggregate, id)
        say("d", id, 0)
        try await Retention(log: log, rules: []).runOnce()
    }

    private static func doomed(_ log: any EventLog) async throws -> [String] {
        try await log.snapshot {
            try $0.rows(String.self, "SELECT id FROM inline WHERE id LIKE 'x%' ORDER BY id")
        }
    }

    /// The next turn of the read model beside: built again, made the active one, or rolled back, as it stands.
    private static func turn(_ model: ReadModel) async throws {
        let builds = try await model.builds()
        do {
            if builds.contains(where: { $0.state == .building }) {
                try await model.makeActive("beside")
            } else if builds.contains(where: { $0.state == .previous }), builds.last?.state == .active {
                try await model.rollBack("beside")
                if let previous = try await model.builds().first(where: { $0.state == .previous }) {
                    try await model.drop("beside", build: previous.number)
                }
            } else {
                try await model.rebuild("beside")
            }
        } catch let error as LogError where error.code == .notReached {
            // It has not caught up yet.
        }
    }

    /// Whether states, snapshots, the log and both read models say the same, and each command's events are there once.
    private static func lookOver(_ store: SQLiteStore, _ model: ReadModel) async throws {
        let log = store.log
        for finding in try await log.verify(progress: { _ in }).findings { say("!", "\(finding)", 0) }
        if try await model.builds().filter({ $0.state == .active }).count != 1 { say("!", "not-one-active-build", 0) }
        let head = log.position(log.head)
        for id in instances {
            let (state, version) = try await CommandExecutor(log: log).state(Tally.aggregate, id)
            if !state.addsUp || version != Int64(state.count) { say("!", "\(id)-adds-up-to-\(state)", state.last) }
            let query: SQL = "SELECT last, count, sum FROM inline WHERE id = \(id)"
            let row = try await log.snapshot { try $0.row(Tally.self, query) } ?? Tally()
            if row != state { say("!", "\(id)-inline-\(row)", state.last) }
            // What a truncation has taken, nobody sees who begins anew.
            guard id != compacted else { continue }
            let plain = try await CommandExecutor(log: log).state(Tally.plain, id).0
            if plain != state { say("!", "\(id)-snapshot-\(state)", plain.last) }
            let besideQuery: SQL = "SELECT last, count, sum FROM beside WHERE id = \(id)"
            let shown = try await model.query(after: head, until: .now + .seconds(60)) {
                try $0.row(Tally.self, besideQuery)
            }
            if shown ?? Tally() != state { say("!", "\(id)-beside-\(String(describing: shown))", state.last) }
        }
    }

    /// One write, so that a line is there whole or not at all.
    private static func say(_ what: String, _ key: String, _ number: Int) {
        let line = Array("\(what) \(key.replacingOccurrences(of: " ", with: "_")) \(number)\n".utf8)
        _ = line.withUnsafeBytes { write(1, $0.baseAddress, $0.count) }
    }
}
