import DovetailContracts
import DovetailCore
import DovetailEvents
import Foundation

/// The saga tables in a log's database: instances and their journals, each transition one transaction.
public struct SagaJournal: Sendable {
    let log: any EventLog

    /// The journal in `log`.
    public init(log: any EventLog) {
        self.log = log
    }

    /// Makes the tables.
    public func prepare() async throws {
        try await log.migrate(SagaTables.migrations)
    }

    // MARK: Looking

    /// Instances, the youngest first; of one saga and in one status, if given, and older than the one of number `before`.
    public func instances(
        saga: String? = nil, status: SagaStatus? = nil, before number: Int64? = nil, limit: Int = 100
    ) async throws -> [SagaRecord] {
        try await log.snapshot { snapshot in
            try SagaTables.instances(
                """
                SELECT \(SagaTables.columns) FROM dovetail_saga_instances
                WHERE (\(saga) IS NULL OR saga = \(saga)) AND (\(status?.rawValue) IS NULL OR status = \(status?.rawValue))
                    AND (\(number) IS NULL OR number < \(number))
                ORDER BY number DESC LIMIT \(limit)
                """, in: snapshot)
        }
    }

    /// How many instances stand in each status.
    public func counts() async throws -> [SagaStatus: Int] {
        struct Row: Decodable { var status: SagaStatus, count: Int }
        return try await log.snapshot { snapshot in
            let rows = try snapshot.rows(
                Row.self, "SELECT status, COUNT(*) AS count FROM dovetail_saga_instances GROUP BY status")
            return Dictionary(rows.map { ($0.status, $0.count) }, uniquingKeysWith: +)
        }
    }

    /// An instance and its journal; nil if there is none of this id.
    public func instance(_ id: UniqueID) async throws -> (SagaRecord, [SagaJournalEntry])? {
        try await log.snapshot { snapshot in
            guard let record = try SagaTables.instance(id, in: snapshot) else { return nil }
            let lines = try snapshot.rows(
                SagaJournalEntry.self,
                "SELECT * FROM dovetail_saga_lines WHERE number = \(record.number) ORDER BY sequence")
            // Beginning and end are the instance's own; they are not written twice.
            return (record, record.firstLine + lines + record.lastLine)
        }
    }

    // MARK: Operating

    /// Asks for an intervention, which the saga's owner carries out between two of the instance's steps; durable, and on record, when it returns.
    ///
    /// The instance's journal says what came of it. Throws ``SagaRefusal`` if there is no such instance, if it has ended, or if it has not yet done what was asked before.
    public func intervene(_ id: UniqueID, _ intervention: SagaIntervention, now: Date = Date()) async throws {
        let text = String(decoding: try JSON.encode(intervention), as: UTF8.self)
        try await log.transaction("intervene", as: .engine) { transaction in
            guard let record = try SagaTables.instance(id, in: transaction) else {
                throw SagaRefusal(
                    description: "there is no saga '\(id)' on this node; `sagas list` shows those there are")
            }
            guard !record.status.hasEnded else {
                throw SagaRefusal(description: "the saga \(id) has ended, \(record.status.rawValue)")
            }
            guard record.request == nil else {
                throw SagaRefusal(
                    description:
                        "the saga \(id) has not yet done what was asked of it before; wait until its present step is over"
                )
            }
            try transaction.execute(
                "UPDATE dovetail_saga_instances SET request = \(text), due_at = \(now) WHERE number = \(record.number)")
            try transaction.append(Append(events: [try intervention.draft(of: record)]))
        }
    }

    /// Gives an instance the signal that one of its decisions waits for, or will wait for; durable, and on record, when it returns.
    ///
    /// `value` is JSON. A signal that was given already is not given again. Throws ``SagaRefusal`` if there is no such instance, or it has ended.
    public func signal(_ id: UniqueID, _ name: String, _ value: [UInt8], now: Date = Date()) async throws {
        try await log.transaction("signal", as: .engine) { transaction in
            guard let record = try SagaTables.instance(id, in: transaction) else {
                throw SagaRefusal(
                    description: "there is no saga '\(id)' on this node; `sagas list` shows those there are")
            }
            guard !record.status.hasEnded else {
                throw SagaRefusal(description: "the saga \(id) has ended, \(record.status.rawValue)")
            }
            let isNew = try SagaTables.deliver(
                value, id: id.description, to: record.saga,
                SagaAddress(topic: SagaMessage.signal(name), key: id.description), at: now, in: transaction)
            guard isNew else { throw SagaRefusal(description: "the saga \(id) was given the signal '\(name)' already") }
            let note = SagaIntervention.Record(action: "signal", saga: record.saga, id: id, step: name)
            try transaction.append(Append(events: [try note.draft()]))
        }
    }

    // MARK: Owning

    /// Takes a saga over from whoever owned it; what an earlier owner still writes is refused. Returns the ownership's number.
    func takeOver(_ saga: String) async throws -> Int {
        try await log.transaction("saga \(saga)", as: .engine) { transaction in
            try transaction.execute(
                """
                INSERT INTO dovetail_saga_owners (saga, epoch) VALUES (\(saga), 1)
                ON CONFLICT (saga) DO UPDATE SET epoch = dovetail_saga_owners.epoch + 1
                """)
            return try transaction.row(Int.self, "SELECT epoch FROM dovetail_saga_owners WHERE saga = \(saga)") ?? 1
        }
    }

    /// Throws ``SagaOwnershipLost`` unless `epoch` owns the saga.
    static func requireOwnership(of saga: String, _ epoch: Int, in transaction: Transaction) throws {
        let owner = try transaction.row(Int.self, "SELECT epoch FROM dovetail_saga_owners WHERE saga = \(saga)")
        guard owner == epoch else { throw SagaOwnershipLost(saga: saga) }
    }

    // MARK: Carrying

    /// The instances of a saga that are due at `time`, the longest due first.
    func due(_ saga: String, at time: Date, limit: Int) async throws -> [SagaRecord] {
        try await log.snapshot { snapshot in
            try SagaTables.instances(
                """
                SELECT \(SagaTables.columns) FROM dovetail_saga_instances WHERE saga = \(saga) AND due_at <= \(time)
                ORDER BY due_at LIMIT \(limit)
                """, in: snapshot)
        }
    }

    /// When the next instance of a saga is due after `time`.
    func nextDue(_ saga: String, after time: Date) async throws -> Date? {
        try await log.snapshot { snapshot in
            try snapshot.row(
                Date?.self,
                "SELECT MIN(due_at) FROM dovetail_saga_instances WHERE saga = \(saga) AND due_at > \(time)") ?? nil
        }
    }

    /// The message that a wait has not taken yet, if one is there.
    func message(for record: SagaRecord, at address: SagaAddress) async throws -> (number: Int64, data: [UInt8])? {
        try await log.snapshot { snapshot in
            try SagaTables.message(for: record.saga, address, besides: record.progress.taken, in: snapshot)
        }
    }

    /// Writes transitions, all in one transaction; each that nobody came before. Throws ``SagaOwnershipLost`` when another node owns the saga.
    func commit(_ saga: String, epoch: Int, now: Date, _ commits: [SagaCommit]) async throws -> [SagaCommit.Result] {
        try await log.transaction("saga \(saga)", as: .engine) { transaction in
            try SagaJournal.requireOwnership(of: saga, epoch, in: transaction)
            return try commits.map { try $0.write(epoch: epoch, now: now, in: transaction) }
        }
    }

    /// Drops messages older than `date` that nobody waits for; signals only once their instance has ended.
    func forgetMessages(of saga: String, before date: Date) async throws {
        _ = try await log.transaction("saga \(saga)", as: .engine) { transaction in
            try transaction.execute(
                """
                DELETE FROM dovetail_saga_messages WHERE saga = \(saga) AND received_at < \(date)
                    AND NOT EXISTS (SELECT 1 FROM dovetail_saga_waits w WHERE w.saga = dovetail_saga_messages.saga
                        AND w.topic = dovetail_saga_messages.topic
                        AND w.message_key = dovetail_saga_messages.message_key)
                    AND (topic NOT LIKE '$signal.%' OR NOT EXISTS (SELECT 1 FROM dovetail_saga_instances i
                        WHERE i.id = dovetail_saga_messages.message_key
                            AND i.status NOT IN ('completed', 'compensated')))
                """)
        }
    }

    /// Starts an instance, unless it was started already: its id is the same each time.
    ///
    /// With `owner`, only if that owns the saga: otherwise it throws ``SagaOwnershipLost``.
    static func start(_ record: SagaRecord, owner: Int? = nil, in transaction: Transaction) throws {
        guard try SagaTables.insert(record, owner: owner, in: transaction) else {
            if let owner { try requireOwnership(of: record.saga, owner, in: transaction) }
            return
        }
        try publish("$saga.started", record, in: transaction)
    }

    /// What others may want to know of an instance.
    struct Notice: Wire {
        var id: UniqueID
        var saga: String
        var status: SagaStatus
        var problem: String?
    }

    static func publish(_ type: String, _ record: SagaRecord, in transaction: Transaction) throws {
        let notice = Notice(id: record.id, saga: record.saga, status: record.status, problem: record.problem)
        var attributes = EventAttributes()
        attributes.correlationID = record.correlationID
        attributes.causationID = record.startedBy.description
        attributes.traceparent = record.traceparent
        try transaction.append(
            Append(events: [
                EventDraft(
                    type: type, key: record.id.description, source: "saga:\(record.saga)", attributes: attributes,
                    data: try JSON.encode(notice))
            ]))
    }
}

/// Another node owns the saga: this one's transitions are refused, and it stops.
public struct SagaOwnershipLost: Error, CustomStringConvertible {
    /// The saga.
    public let saga: String

    public var description: String {
        "another node has taken over the saga '\(saga)'; this one has stopped carrying it. See that one node only runs its module"
    }
}
