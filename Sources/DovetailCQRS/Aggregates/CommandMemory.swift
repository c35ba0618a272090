import DovetailCore
import DovetailEvents
import Foundation
import Synchronization

/// What a log remembers of commands under keys: by the ids of the events that they led to, and by rows of its own for those that led to none.
final class CommandMemory: Sendable {
    /// Where an event of a command stands, or stood before it was truncated.
    private struct Place: Sendable {
        var position: LogPosition
        var version: Int64
        /// Its stream; nil if that is not known any more.
        var stream: String?
        var input: String?
    }

    private struct Row: Decodable, Sendable {
        var stream: String, version: Int64, position: Int64, input: String?
    }

    private let log: any EventLog
    /// Whether there are rows; nil: not known yet.
    private let hasRows = Mutex<Bool?>(nil)

    /// How many rows are forgotten in one transaction.
    private static let step = 500

    private static let tables: [SQL] = [
        """
        CREATE TABLE IF NOT EXISTS dovetail_commands (
            id TEXT PRIMARY KEY, stream TEXT NOT NULL, version BIGINT NOT NULL, position BIGINT NOT NULL, input TEXT,
            done_at BIGINT NOT NULL)
        """,
        "CREATE INDEX IF NOT EXISTS dovetail_commands_age ON dovetail_commands (done_at)",
    ]

    init(log: any EventLog) { self.log = log }

    /// What became of the command of a key on these streams; nil if it was not carried out. Throws ``Problem/keyReused`` if that was on another instance, or asked with something else.
    func outcome(of key: CommandKey, on streams: Set<String>) async throws -> CommandOutcome? {
        if let outcome = try await outcome(of: key, on: streams, key.eventID) { return outcome }
        if let row = try await row(key) {
            guard streams.contains(row.stream) else { throw Problem.keyReused }
            try key.confirm(row.input)
            return CommandOutcome(position: log.position(row.position), version: row.version, wasDuplicate: true)
        }
        // Ids of before had the stream in them.
        guard streams.count == 1, let stream = streams.first else { return nil }
        return try await outcome(of: key, on: streams) { key.earlierEventID(stream, $0) }
    }

    private func outcome(
        of key: CommandKey, on streams: Set<String>, _ id: (Int) -> UniqueID
    ) async throws -> CommandOutcome? {
        guard let first = try await place(of: id(0)) else { return nil }
        if let its = first.stream {
            guard streams.contains(its) else { throw Problem.keyReused }
        } else {
            // It was truncated with its stream, so one of which less was truncated is another.
            var truncated: Int64 = 0
            for stream in streams { truncated = max(truncated, try await log.streamStatus(stream)?.truncated ?? 0) }
            guard truncated >= first.version else { throw Problem.keyReused }
        }
        try key.confirm(first.input)
        let last = try await last(behind: first, id)
        return CommandOutcome(position: last.position, version: last.version, wasDuplicate: true)
    }

    /// The last event of a command, all of which were appended together: found in steps that double, then halve.
    private func last(behind first: Place, _ id: (Int) -> UniqueID) async throws -> Place {
        var (last, index, step) = (first, 0, 1)
        var beyond = Int.max
        while beyond - index > 1 {
            let next = beyond == .max ? index + step : (index + beyond) / 2
            if let place = try await place(of: id(next)) {
                (last, index, step) = (place, next, step * 2)
            } else {
                beyond = next
            }
        }
        return last
    }

    private func place(of id: UniqueID) async throws -> Place? {
        if let event = try await log.event(id: id) {
            return Place(
                position: event.position, version: event.stream?.version ?? 0, stream: event.stream?.name,
                input: event.attributes.headers?[TruncatedEvent.inputHeader])
        }
        // What it has led to may be truncated: it was done all the same.
        return try await log.truncatedEvent(id: id).map {
            Place(position: $0.position, version: $0.version, stream: nil, input: $0.input)
        }
    }

    /// Makes the table, once in a process; returns whether it may have rows.
    private func prepare() async throws -> Bool {
        if hasRows.withLock({ $0 }) == nil {
            let any = try await log.transaction("commands", as: .engine) { transaction in
                for table in Self.tables { try transaction.execute(table) }
                return try transaction.row(Bool.self, "SELECT EXISTS (SELECT 1 FROM dovetail_commands)") ?? false
            }
            // Who has remembered one meanwhile has said so.
            hasRows.withLock { $0 = $0 ?? any }
        }
        return hasRows.withLock { $0 } ?? true
    }

    private func row(_ key: CommandKey) async throws -> Row? {
        guard try await prepare() else { return nil }
        let id = key.eventID(0)
        return try await log.snapshot { snapshot in
            try snapshot.row(
                Row.self, "SELECT stream, version, position, input FROM dovetail_commands WHERE id = \(id)")
        }
    }

    /// Remembers a command that has led to no event. Durable when it returns.
    func remember(_ key: CommandKey, on stream: String, _ outcome: CommandOutcome) async throws {
        hasRows.withLock { $0 = true }
        let (id, version, position) = (key.eventID(0), outcome.version, outcome.position.number)
        _ = try await log.transaction("commands", as: .engine) { transaction in
            try transaction.execute(
                """
                INSERT INTO dovetail_commands (id, stream, version, position, input, done_at)
                VALUES (\(id), \(stream), \(version), \(position), \(key.input), \(Date()))
                ON CONFLICT (id) DO NOTHING
                """)
        }
    }

    /// Forgets commands without events that were carried out before `date`; returns how many. In steps that hold nobody up.
    func forget(before date: Date) async throws -> Int {
        guard try await prepare() else { return 0 }
        var total = 0
        while true {
            // Nothing is written where nothing goes.
            let isDue = try await log.snapshot { snapshot in
                try snapshot.row(
                    Bool.self, "SELECT EXISTS (SELECT 1 FROM dovetail_commands WHERE done_at < \(date))")
            }
            guard isDue == true else { return total }
            total += try await log.transaction("commands", as: .engine) { transaction in
                try transaction.execute(
                    """
                    DELETE FROM dovetail_commands WHERE id IN (
                        SELECT id FROM dovetail_commands WHERE done_at < \(date) ORDER BY done_at LIMIT \(Self.step))
                    """)
            }
            try Task.checkCancellation()
        }
    }
}
