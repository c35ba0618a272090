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

    /// How many instances stand in each status, of those that are kept. Nobody counts rows for it: the numbers are kept with the transitions.
    public func counts() async throws -> [SagaStatus: Int] {
        struct Row: Decodable { var status: SagaStatus, count: Int }
        return try await log.snapshot { snapshot in
            let rows = try snapshot.rows(
                Row.self,
                "SELECT status, SUM(count) AS count FROM dovetail_saga_counts GROUP BY status HAVING SUM(count) > 0")
            return Dictionary(rows.map { ($0.status, $0.count) }, uniquingKeysWith: +)
        }
    }

    /// A saga's instances whose steps fail and are tried again by themselves.
    public struct Failing: Decodable, Sendable, Equatable {
        /// The saga.
        public var saga: String
        /// How many there are.
        public var count: Int
        /// When the first of the steps failed that has not succeeded since.
        public var since: Date
    }

    /// The instances that fail and are tried again, by saga; none of those that are stuck. They have an index of their own.
    public func failing() async throws -> [Failing] {
        try await log.snapshot { snapshot in
            try snapshot.rows(
                Failing.self,
                """
                SELECT saga, COUNT(*) AS count, MIN(failing_since) AS since FROM dovetail_saga_instances
                WHERE failing_since IS NOT NULL GROUP BY saga ORDER BY saga
                """)
        }
    }

    /// Who holds the resources that an instance has locked or waits for, and who waits for them too, in the order of the queues.
    public func locks(of id: UniqueID) async throws -> [SagaLockLine] {
        try await log.snapshot { snapshot in
            guard let record = try SagaTables.instance(id, in: snapshot) else { return [] }
            return try SagaLockTable.lines(of: record.number, in: snapshot)
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
        try await log.transaction("intervene", as: .engine) { transaction in
            guard let record = try SagaTables.instance(id, in: transaction) else {
                throw SagaRefusal(
                    description: "there is no saga '\(id)' on this node; `sagas list` shows those there are")
            }
            guard !record.status.hasEnded else {
                throw SagaRefusal(description: "the saga \(id) has ended, \(record.status.rawValue)")
            }
            // One that was set aside keeps what it was asked for, until it can be read.
            guard record.request == nil || record.dueAt == nil else {
                throw SagaRefusal(
                    description:
                        "the saga \(id) has not yet done what was asked of it before; wait until its present step is over"
                )
            }
            try SagaTables.ask(intervention, of: record, now: now, in: transaction)
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
    ///
    /// Keeps the definition that it goes by from here on, where it is another than before.
    func takeOver(_ saga: String, as definition: SagaDescription? = nil) async throws -> Int {
        let plan = try definition.map { String(decoding: try JSON.encode($0), as: UTF8.self) }
        return try await log.transaction("saga \(saga)", as: .engine) { transaction in
            try transaction.execute(
                """
                INSERT INTO dovetail_saga_owners (saga, epoch) VALUES (\(saga), 1)
                ON CONFLICT (saga) DO UPDATE SET epoch = dovetail_saga_owners.epoch + 1
                """)
            let epoch =
                try transaction.row(Int.self, "SELECT epoch FROM dovetail_saga_owners WHERE saga = \(saga)") ?? 1
            if let plan { try SagaJournal.keep(plan, of: saga, from: epoch, in: transaction) }
            return epoch
        }
    }

    /// Throws ``SagaOwnershipLost`` unless `epoch` owns the saga.
    static func requireOwnership(of saga: String, _ epoch: Int, in transaction: Transaction) throws {
        let owner = try transaction.row(Int.self, "SELECT epoch FROM dovetail_saga_owners WHERE saga = \(saga)")
        guard owner == epoch else { throw SagaOwnershipLost(saga: saga) }
    }

    // MARK: Carrying

    /// The instances of a saga that are due at `time`, the longest due first, and whether there are more than `limit`; those of `active` numbers are passed over.
    func due(
        _ saga: String, at time: Date, limit: Int, besides active: Set<Int64> = []
    ) async throws -> (records: [SagaRecord], hasMore: Bool) {
        try await log.snapshot { snapshot in
            var (records, count) = ([SagaRecord](), 0)
            try snapshot.each(
                """
                SELECT \(SagaTables.columns) FROM dovetail_saga_instances WHERE saga = \(saga) AND due_at <= \(time)
                ORDER BY due_at LIMIT \(limit)
                """
            ) { row in
                count += 1
                // What is carried is known; reading it is most of the work.
                if case .integer(let number) = row[0], active.contains(number) { return true }
                records.append(SagaRecord(row))
                return true
            }
            return (records, count == limit)
        }
    }

    /// The instances of a saga that are due behind a place, and not after `time`, by date and number.
    func due(
        _ saga: String, after place: (date: Date, number: Int64), until time: Date, limit: Int
    ) async throws -> [SagaRecord] {
        try await log.snapshot { snapshot in
            try SagaTables.instances(
                """
                SELECT \(SagaTables.columns) FROM dovetail_saga_instances
                WHERE saga = \(saga) AND due_at >= \(place.date) AND due_at <= \(time)
                    AND (due_at, number) > (\(place.date), \(place.number))
                ORDER BY due_at, number LIMIT \(limit)
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
    func message(for record: SagaRecord, at address: SagaAddress) async throws -> SagaTables.Message? {
        try await log.snapshot { snapshot in
            try SagaTables.message(for: record.saga, address, besides: record.progress.taken, in: snapshot)
        }
    }

    /// How an instance's wait for a resource stands.
    func state(of lock: SagaLock, for record: SagaRecord) async throws -> SagaLockLine.State? {
        try await log.snapshot { try SagaLockTable.state(lock, of: record.number, in: $0) }
    }

    /// Writes transitions, all in one transaction; each that nobody came before. Throws ``SagaOwnershipLost`` when another node owns the saga.
    func commit(_ saga: String, epoch: Int, now: Date, _ commits: [SagaCommit]) async throws -> [SagaCommit.Result] {
        try await log.transaction("saga \(saga)", as: .engine) { transaction in
            try SagaJournal.requireOwnership(of: saga, epoch, in: transaction)
            var changes: [SagaStatus: Int] = [:]
            let results = try commits.map { commit in
                let result = try commit.write(epoch: epoch, now: now, in: transaction)
                if case .written(let record, _, _) = result, record.status != commit.before.status {
                    changes[commit.before.status, default: 0] -= 1
                    changes[record.status, default: 0] += 1
                }
                return result
            }
            for (status, change) in changes { try SagaTables.count(saga, status, by: change, in: transaction) }
            return results
        }
    }

    /// Starts an instance, unless it was started already: its id is the same each time. Returns its number if it is new. `notice` is what is published of it, if that is made already.
    ///
    /// With `owner`, only if that owns the saga: otherwise it throws ``SagaOwnershipLost``.
    @discardableResult
    static func start(
        _ record: SagaRecord, notice: EventDraft? = nil, owner: Int? = nil, in transaction: Transaction
    ) throws -> Int64? {
        guard let number = try SagaTables.insert(record, owner: owner, in: transaction) else {
            if let owner { try requireOwnership(of: record.saga, owner, in: transaction) }
            return nil
        }
        try transaction.append(Append(events: [try notice ?? self.notice("$saga.started", record)]))
        return number
    }

    /// What others may want to know of an instance.
    struct Notice: Wire {
        var id: UniqueID
        var saga: String
        var status: SagaStatus
        var problem: String?
    }

    static func notice(_ type: String, _ record: SagaRecord) throws -> EventDraft {
        let notice = Notice(id: record.id, saga: record.saga, status: record.status, problem: record.problem)
        var attributes = EventAttributes()
        attributes.correlationID = record.correlationID
        attributes.causationID = record.startedBy.description
        attributes.traceparent = record.traceparent
        return EventDraft(
            type: type, key: record.id.description, source: "saga:\(record.saga)", attributes: attributes,
            data: try JSON.encode(notice))
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
