import DovetailContracts
import DovetailCore
import DovetailEvents
import Foundation

/// An event that a saga's reader went past without taking it in, since it could not be read.
public struct SagaParkedEvent: Wire, Equatable {
    /// The saga.
    public var saga: String
    /// The event's number in the log.
    public var position: Int64
    /// The topic.
    public var type: String
    /// The version that it is stored in.
    public var version: Int
    /// Why it could not be read.
    public var error: String
    /// When it was put aside.
    public var parkedAt: Date
}

/// Events that a saga cannot read: put aside by its definition or by an operator, and taken in later, by a program that can.
extension SagaJournal {
    /// The events that were put aside, of one saga if it is given, in the order of the log, after number `after`.
    public func parked(of saga: String? = nil, after number: Int64 = 0, limit: Int = 100) async throws
        -> [SagaParkedEvent]
    {
        try await log.snapshot { snapshot in
            try snapshot.rows(
                SagaParkedEvent.self,
                """
                SELECT saga, position, type, version, error, parked_at FROM dovetail_saga_parked
                WHERE (\(saga) IS NULL OR saga = \(saga)) AND position > \(number) ORDER BY position LIMIT \(limit)
                """)
        }
    }

    /// How many events were put aside, by saga.
    public func parkedCounts() async throws -> [String: Int] {
        struct Row: Decodable, Sendable { var saga: String, count: Int }
        return try await log.snapshot { snapshot in
            let rows = try snapshot.rows(
                Row.self, "SELECT saga, COUNT(*) AS count FROM dovetail_saga_parked GROUP BY saga")
            return Dictionary(rows.map { ($0.saga, $0.count) }, uniquingKeysWith: +)
        }
    }

    /// What is on record of an operator who has had an event put aside.
    struct Passing: Wire {
        var saga: String
        var position: Int64
        var type: String
        var error: String
        var reason: String?
    }

    /// Has an event put aside that a saga's reader cannot get past: it goes on when it next tries. On record as `$operator.saga-passed`.
    ///
    /// Throws ``SagaRefusal`` if the log has no event of this number.
    public func pass(
        _ saga: String, position: Int64, error: String, reason: String? = nil, now: Date = Date()
    ) async throws {
        let page = try await log.events(after: position - 1, types: nil, limit: 1)
        guard let event = page.events.first, event.position.number == position else {
            throw SagaRefusal(description: "the log has no event of the number \(position)")
        }
        let passing = Passing(saga: saga, position: position, type: event.type, error: error, reason: reason)
        let draft = EventDraft(
            type: "$operator.saga-passed", key: saga, source: "operator", data: try JSON.encode(passing))
        try await log.transaction("pass", as: .engine) { transaction in
            try SagaJournal.park(event, error, of: saga, at: now, in: transaction)
            try transaction.append(Append(events: [draft]))
        }
    }

    /// Puts an event aside.
    static func park(
        _ event: StoredEvent, _ error: String, of saga: String, at now: Date, in transaction: Transaction
    ) throws {
        try transaction.execute(
            """
            INSERT INTO dovetail_saga_parked (saga, position, type, version, error, parked_at)
            VALUES (\(saga), \(event.position.number), \(event.type), \(event.version), \(error), \(now))
            ON CONFLICT (saga, position) DO UPDATE SET error = excluded.error
            """)
    }

    /// Whether an event was put aside.
    static func isParked(_ position: Int64, of saga: String, in snapshot: Snapshot) throws -> Bool {
        let number = try snapshot.row(
            Int64.self,
            "SELECT position FROM dovetail_saga_parked WHERE saga = \(saga) AND position = \(position)")
        return number != nil
    }

    /// Takes in what was put aside and can be read by now: `take` does, and is nil for what cannot. Returns how many there were.
    ///
    /// What the log has no more stays on the list.
    func takeParked(
        of saga: String, _ take: @Sendable (StoredEvent) -> (@Sendable (Transaction) throws -> Void)?
    ) async throws -> Int {
        var (after, taken) = (Int64(0), 0)
        while true {
            let parked = try await parked(of: saga, after: after, limit: SagaJournal.step)
            for one in parked {
                try Task.checkCancellation()
                // One that the log cannot read stays on the list as well.
                let page = try? await log.events(after: one.position - 1, types: nil, limit: 1)
                guard let event = page?.events.first, event.position.number == one.position,
                    let effect = take(event)
                else { continue }
                try await log.transaction("saga \(saga)", as: .engine) { transaction in
                    try effect(transaction)
                    try transaction.execute(
                        "DELETE FROM dovetail_saga_parked WHERE saga = \(saga) AND position = \(one.position)")
                }
                taken += 1
            }
            guard parked.count == SagaJournal.step, let last = parked.last else { return taken }
            after = last.position
        }
    }
}
