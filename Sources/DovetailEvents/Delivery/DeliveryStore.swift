import DovetailCore
import Foundation

/// A subscription's rows, in the log's own database.
struct DeliveryStore: Sendable {
    /// Another life of the subscription has begun (a seek): what this one settles is not counted any more.
    struct Fenced: Error {}

    let name: String
    let log: any EventLog
    let clock: any MonotonicClock

    /// Makes the tables; idempotent.
    static func prepare(_ log: any EventLog) async throws {
        try await log.migrate(
            Migrations(
                owner: "dovetail_delivery",
                steps: [
                    """
                    CREATE TABLE dovetail_subscriptions (
                        name TEXT PRIMARY KEY, epoch BIGINT NOT NULL, scanned BIGINT NOT NULL, open_positions TEXT NOT NULL)
                    """,
                    """
                    CREATE TABLE dovetail_failures (
                        subscription TEXT NOT NULL, position BIGINT NOT NULL, event_key TEXT NOT NULL, attempts BIGINT NOT NULL,
                        first_failed_at BIGINT NOT NULL, due_at BIGINT, error TEXT NOT NULL,
                        PRIMARY KEY (subscription, position))
                    """,
                    """
                    CREATE TABLE dovetail_held (
                        subscription TEXT NOT NULL, event_key TEXT NOT NULL, position BIGINT NOT NULL,
                        PRIMARY KEY (subscription, event_key, position))
                    """,
                    """
                    CREATE TABLE dovetail_dead_letters (
                        subscription TEXT NOT NULL, position BIGINT NOT NULL, event_id TEXT NOT NULL, type TEXT NOT NULL,
                        version BIGINT NOT NULL, event_key TEXT NOT NULL, source TEXT NOT NULL, attributes TEXT NOT NULL,
                        data BYTEA NOT NULL, reason TEXT NOT NULL, error TEXT NOT NULL, attempts BIGINT NOT NULL,
                        first_failed_at BIGINT NOT NULL, died_at BIGINT NOT NULL, PRIMARY KEY (subscription, position))
                    """,
                    "CREATE INDEX dovetail_held_position ON dovetail_held (subscription, position)",
                    // Whether it runs, how often it ended without a word since it did well, and what was tried then.
                    "ALTER TABLE dovetail_subscriptions ADD COLUMN running BIGINT NOT NULL DEFAULT 0",
                    "ALTER TABLE dovetail_subscriptions ADD COLUMN crashes BIGINT NOT NULL DEFAULT 0",
                    "ALTER TABLE dovetail_subscriptions ADD COLUMN suspect BIGINT",
                    """
                    CREATE TABLE dovetail_suspects (
                        subscription TEXT NOT NULL, position BIGINT NOT NULL, deaths BIGINT NOT NULL,
                        PRIMARY KEY (subscription, position))
                    """,
                ]))
    }

    // MARK: Reading

    /// What is stored of the subscription; a new one is stored at `start`.
    func load(start: Int64) async throws -> StoredDeliveries {
        let name = name
        let times = Times(clock)
        return try await log.transaction("subscription \(name)", as: .engine) { transaction in
            try transaction.execute(
                """
                INSERT INTO dovetail_subscriptions (name, epoch, scanned, open_positions) VALUES (\(name), 1, \(start), '')
                ON CONFLICT (name) DO NOTHING
                """)
            return try DeliveryStore.read(name, in: transaction, times)
        }
    }

    private static func read(_ name: String, in snapshot: Snapshot, _ times: Times) throws -> StoredDeliveries {
        struct Place: Decodable { var epoch: Int, scanned: Int64, openPositions: String }
        struct Failure: Decodable {
            var position: Int64, eventKey: String, attempts: Int, firstFailedAt: Date, dueAt: Date?, error: String
        }
        struct Held: Decodable { var eventKey: String, count: Int }
        guard
            let place = try snapshot.row(
                Place.self, "SELECT epoch, scanned, open_positions FROM dovetail_subscriptions WHERE name = \(name)")
        else { throw Fenced() }
        var stored = StoredDeliveries(
            epoch: place.epoch, scanned: place.scanned,
            open: place.openPositions.split(separator: ",").compactMap { Int64($0) })
        stored.failures = try snapshot.rows(
            Failure.self,
            """
            SELECT position, event_key, attempts, first_failed_at, due_at, error FROM dovetail_failures
            WHERE subscription = \(name) ORDER BY position
            """
        ).map {
            StoredDeliveries.Failure(
                position: $0.position, key: $0.eventKey, attempts: $0.attempts,
                firstFailed: times.monotonic($0.firstFailedAt), due: $0.dueAt.map(times.monotonic), error: $0.error)
        }
        for held in try snapshot.rows(
            Held.self,
            "SELECT event_key, count(*) AS count FROM dovetail_held WHERE subscription = \(name) GROUP BY event_key")
        {
            stored.held[held.eventKey] = held.count
        }
        return stored
    }

    /// The first positions held for a key.
    func held(key: String, limit: Int) async throws -> [Int64] {
        let name = name
        return try await log.snapshot { snapshot in
            try snapshot.rows(
                Int64.self,
                """
                SELECT position FROM dovetail_held WHERE subscription = \(name) AND event_key = \(key)
                ORDER BY position LIMIT \(limit)
                """)
        }
    }

    /// The event at a position; nil if the log holds it no more.
    func event(at position: Int64) async throws -> StoredEvent? {
        try await log.events(after: position - 1, types: nil, limit: 1).events.first { $0.position.number == position }
    }

    /// The copy that the dead letters keep of an event, if it is there: with it an event is tried that was redriven.
    func letter(at position: Int64) async throws -> DeadLetter? {
        let name = name
        return try await log.snapshot { snapshot in
            try snapshot.row(
                DeadLetter.self,
                "SELECT * FROM dovetail_dead_letters WHERE subscription = \(name) AND position = \(position)")
        }
    }

    /// The first number that some subscription has not done with, less one; no row where there is none.
    static let held: SQL = """
        SELECT min(done) FROM (
            SELECT min(scanned) AS done FROM dovetail_subscriptions
            UNION ALL SELECT min(CAST(open_positions AS INTEGER)) - 1 FROM dovetail_subscriptions WHERE open_positions <> ''
            UNION ALL SELECT min(position) - 1 FROM dovetail_failures
            UNION ALL SELECT min(position) - 1 FROM dovetail_held)
        """

    /// Where the subscription stands by what is written: for one that does not run.
    func place() async throws -> (scanned: Int64, open: [Int64], blocked: Int)? {
        struct Row: Decodable { var scanned: Int64, openPositions: String, blocked: Int }
        let name = name
        return try await log.snapshot { snapshot in
            try snapshot.row(
                Row.self,
                """
                SELECT scanned, open_positions,
                    (SELECT count(*) FROM dovetail_failures WHERE subscription = name) AS blocked
                FROM dovetail_subscriptions WHERE name = \(name)
                """)
        }.map { ($0.scanned, $0.openPositions.split(separator: ",").compactMap { Int64($0) }, $0.blocked) }
    }

    /// What each durable subscription that the log knows has done with, whether it runs or not.
    static func holds(_ log: any EventLog) async throws -> [RetentionHold] {
        struct Row: Decodable { var name: String, scanned: Int64, openPositions: String, failed: Int64?, held: Int64? }
        try await prepare(log)
        return try await log.snapshot { snapshot in
            try snapshot.rows(
                Row.self,
                """
                SELECT name, scanned, open_positions,
                    (SELECT min(position) FROM dovetail_failures WHERE subscription = name) AS failed,
                    (SELECT min(position) FROM dovetail_held WHERE subscription = name) AS held
                FROM dovetail_subscriptions
                """)
        }.map { row in
            let open = row.openPositions.split(separator: ",").compactMap { Int64($0) }.min()
            let first = [open, row.failed, row.held].compactMap { $0 }.min()
            return RetentionHold(
                name: "the subscription '\(row.name)'", done: min(row.scanned, first.map { $0 - 1 } ?? .max))
        }
    }

    // MARK: Unclean stops

    /// How often a subscription ended without a word, and which events were being tried alone then.
    struct Past: Sendable {
        var crashes = 0
        var deaths: [Int64: Int] = [:]
    }

    /// The subscription begins to run: what is known of its last end is counted.
    func begin() async throws -> Past {
        struct Row: Decodable { var running: Int, crashes: Int, suspect: Int64? }
        struct Suspect: Decodable { var position: Int64, deaths: Int }
        let name = name
        return try await log.transaction("begin \(name)", as: .engine) { transaction in
            var past = Past()
            if let row = try transaction.row(
                Row.self, "SELECT running, crashes, suspect FROM dovetail_subscriptions WHERE name = \(name)")
            {
                past.crashes = row.running == 1 ? row.crashes + 1 : 0
                if row.running == 1, let suspect = row.suspect {
                    try transaction.execute(
                        """
                        INSERT INTO dovetail_suspects (subscription, position, deaths) VALUES (\(name), \(suspect), 1)
                        ON CONFLICT (subscription, position) DO UPDATE SET deaths = dovetail_suspects.deaths + 1
                        """)
                }
            }
            for suspect in try transaction.rows(
                Suspect.self, "SELECT position, deaths FROM dovetail_suspects WHERE subscription = \(name)")
            {
                past.deaths[suspect.position] = suspect.deaths
            }
            try transaction.execute(
                """
                UPDATE dovetail_subscriptions SET running = 1, crashes = \(past.crashes), suspect = NULL
                WHERE name = \(name)
                """)
            return past
        }
    }

    /// An event is about to be tried, alone: if the process ends now, it is known over what.
    func suspect(_ position: Int64) async throws {
        let name = name
        try await log.transaction("suspect \(name)", as: .engine) { transaction in
            _ = try transaction.execute(
                "UPDATE dovetail_subscriptions SET suspect = \(position) WHERE name = \(name)")
        }
    }

    /// It does well, or has ended in order: nothing of what was before counts.
    func clear(isRunning: Bool) async throws {
        let name = name
        try await log.transaction("clear \(name)", as: .engine) { transaction in
            try transaction.execute(
                """
                UPDATE dovetail_subscriptions SET running = \(isRunning), crashes = 0, suspect = NULL WHERE name = \(name)
                """)
            try transaction.execute("DELETE FROM dovetail_suspects WHERE subscription = \(name)")
        }
    }

    // MARK: Writing

    /// Writes all of it in one transaction. Throws ``Fenced`` if the subscription's epoch has risen.
    func write(_ changes: DeliveryChanges, epoch: Int) async throws {
        let name = name
        let times = Times(clock)
        try await log.transaction("settle \(name)", as: .engine) { transaction in
            let open = changes.open.map(String.init).joined(separator: ",")
            let updated = try transaction.execute(
                """
                UPDATE dovetail_subscriptions SET scanned = \(changes.scanned), open_positions = \(open)
                WHERE name = \(name) AND epoch = \(epoch)
                """)
            guard updated == 1 else { throw Fenced() }
            for (position, failure) in changes.failures {
                try DeliveryStore.write(failure, at: position, of: name, in: transaction, times)
            }
            for (position, key) in changes.held {
                if let key {
                    try transaction.execute(
                        """
                        INSERT INTO dovetail_held (subscription, event_key, position) VALUES (\(name), \(key), \(position))
                        ON CONFLICT (subscription, event_key, position) DO NOTHING
                        """)
                } else {
                    try transaction.execute(
                        "DELETE FROM dovetail_held WHERE subscription = \(name) AND position = \(position)")
                }
            }
            for (position, death) in changes.deadLetters {
                try DeliveryStore.write(death, at: position, of: name, in: transaction, times)
            }
        }
    }

    private static func write(
        _ failure: StoredDeliveries.Failure?, at position: Int64, of name: String, in transaction: Transaction,
        _ times: Times
    ) throws {
        guard let failure else {
            try transaction.execute(
                "DELETE FROM dovetail_failures WHERE subscription = \(name) AND position = \(position)")
            return
        }
        try transaction.execute(
            """
            INSERT INTO dovetail_failures (subscription, position, event_key, attempts, first_failed_at, due_at, error)
            VALUES (\(name), \(position), \(failure.key), \(failure.attempts), \(times.wall(failure.firstFailed)),
                \(failure.due.map(times.wall)), \(failure.error))
            ON CONFLICT (subscription, position) DO UPDATE SET
                attempts = excluded.attempts, due_at = excluded.due_at, error = excluded.error
            """)
    }

    private static func write(
        _ death: DeliveryChanges.Death?, at position: Int64, of name: String, in transaction: Transaction,
        _ times: Times
    ) throws {
        guard let death else {
            try transaction.execute(
                "DELETE FROM dovetail_dead_letters WHERE subscription = \(name) AND position = \(position)")
            return
        }
        let event = death.event
        // An event that cannot be described whole is a dead letter all the same.
        let attributes = String(decoding: (try? JSON.encode(event.attributes)) ?? Array("{}".utf8), as: UTF8.self)
        try transaction.execute(
            """
            INSERT INTO dovetail_dead_letters (subscription, position, event_id, type, version, event_key, source, attributes,
                data, reason, error, attempts, first_failed_at, died_at)
            VALUES (\(name), \(position), \(event.id), \(event.type), \(event.version), \(event.key), \(event.source),
                \(attributes), \(event.data), \(death.reason.rawValue), \(death.error), \(death.attempts),
                \(times.wall(death.firstFailed)), \(times.wall(death.died)))
            ON CONFLICT (subscription, position) DO UPDATE SET
                reason = excluded.reason, error = excluded.error, attempts = excluded.attempts, died_at = excluded.died_at
            """)
    }

    /// Sets the subscription to `number` and begins a new epoch. Dead letters stay, and what was open or held up to there, but for those that are `lost`.
    func seek(to number: Int64, without lost: Set<Int64>) async throws -> StoredDeliveries {
        let name = name
        let times = Times(clock)
        return try await log.transaction("seek \(name)", as: .engine) { transaction in
            let open = try DeliveryStore.read(name, in: transaction, times).open.filter {
                $0 <= number && !lost.contains($0)
            }
            let text = open.map(String.init).joined(separator: ",")
            try transaction.execute(
                """
                UPDATE dovetail_subscriptions SET epoch = epoch + 1, scanned = \(number), open_positions = \(text)
                WHERE name = \(name)
                """)
            try transaction.execute(
                "DELETE FROM dovetail_failures WHERE subscription = \(name) AND position > \(number)")
            try transaction.execute("DELETE FROM dovetail_held WHERE subscription = \(name) AND position > \(number)")
            return try DeliveryStore.read(name, in: transaction, times)
        }
    }
}

/// Turns the process's time into the calendar's and back, at one moment's offset.
private struct Times: Sendable {
    let now: MonotonicTime
    let date = Date()

    init(_ clock: any MonotonicClock) { now = clock.now }

    func wall(_ time: MonotonicTime) -> Date { date.addingTimeInterval((time - now).inSeconds) }
    func monotonic(_ date: Date) -> MonotonicTime { now + .seconds(date.timeIntervalSince(self.date)) }
}
