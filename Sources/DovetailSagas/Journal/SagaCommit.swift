import DovetailContracts
import DovetailCore
import DovetailEvents
import Foundation

/// A transition about to be written: how the instance was, how it has moved, and what else belongs to the same commit.
///
/// A class: it goes from task to task, and its parts are many.
final class SagaCommit: Sendable {
    /// The instance as its owner knew it.
    let before: SagaRecord
    let move: SagaMachine.Move
    /// A child that begins.
    let child: SagaRecord?
    /// Whether the move itself is the answer to what an operator asks.
    private let answersRequest: Bool
    /// The move's progress as it is stored: made here, not on the writer's thread.
    private let progress: String
    /// What is published of the move; made here too.
    private let notice: EventDraft?
    /// What an operator has asked meanwhile, applied to the move.
    private let intervene: @Sendable (SagaRecord, [SagaIntervention]) -> SagaMachine.Move

    init(
        before: SagaRecord, move: SagaMachine.Move, child: SagaRecord? = nil, answersRequest: Bool,
        intervene: @escaping @Sendable (SagaRecord, [SagaIntervention]) -> SagaMachine.Move
    ) throws {
        self.before = before
        self.move = move
        self.child = child
        self.answersRequest = answersRequest
        self.intervene = intervene
        progress = move.record.progress.text
        notice = try SagaCommit.notice(of: move.record, after: before)
    }

    /// What became of it.
    enum Result: Sendable {
        /// It is written: the instance as it is now, whether what one of its waits is for is there, and the sagas whose instances are due because of it.
        case written(SagaRecord, hasMessage: Bool, woken: Set<String>)
        /// Somebody else has changed the instance: nothing was written.
        case lost
    }

    /// What the others in the transaction need to know of it.
    private struct Waits {
        var hasMessage = false
        var woken: Set<String> = []
    }

    /// Writes the transition, in the owner's transaction.
    func write(epoch: Int, now: Date, in transaction: Transaction) throws -> Result {
        var (move, progress, notice) = (move, progress, notice)
        move.record.revision = before.revision + 1
        move.record.epoch = epoch
        var lines = move.lines
        var cancelled = move.cancelledChildren
        var waits = Waits()
        if !before.progress.locks.isEmpty || move.record.progress.tasks.contains(where: \.isListening)
            || before.progress.tasks.contains(where: \.isListening)
        {
            // Nothing of others is touched for an instance that is not what it was.
            guard try SagaTables.revision(of: before.number, in: transaction) == before.revision else { return .lost }
        }
        if try keepWaits(&move.record, insteadOf: before, &waits, now, in: transaction) {
            progress = move.record.progress.text
        }
        if waits.hasMessage { move.record.dueAt = now }
        if try !SagaTables.update(
            move.record, progress: progress, after: before, answersRequest: answersRequest, now: now, in: transaction)
        {
            guard let current = try SagaTables.instance(before.number, in: transaction),
                current.revision == before.revision, let text = current.request
            else { return .lost }
            var second = intervene(move.record, try SagaIntervention.requests(text))
            second.record.revision = before.revision + 1
            second.record.epoch = epoch
            lines += second.lines
            cancelled += second.cancelledChildren
            waits.hasMessage = false
            _ = try keepWaits(&second.record, insteadOf: move.record, &waits, now, in: transaction)
            if waits.hasMessage { second.record.dueAt = now }
            guard
                try SagaTables.update(
                    second.record, progress: second.record.progress.text, after: before, answersRequest: true, now: now,
                    in: transaction)
            else { return .lost }
            move = second
            notice = try SagaCommit.notice(of: move.record, after: before)
        }
        for (index, line) in lines.enumerated() {
            var line = line
            line.sequence = Int64(move.record.revision) * 4096 + Int64(index)
            try SagaTables.note(line, of: move.record.number, in: transaction)
        }
        if let child { try SagaJournal.start(child, in: transaction) }
        for id in cancelled {
            try SagaTables.ask(
                SagaIntervention(.cancel, reason: "its parent \(before.id) has turned back"), of: id, now: now,
                in: transaction)
        }
        if let notice { try transaction.append(Append(events: [notice])) }
        if move.record.status.hasEnded { try tellParent(move.record, now, in: transaction) }
        return .written(move.record, hasMessage: waits.hasMessage, woken: waits.woken)
    }

    /// What others are told when the instance comes to stand where nothing more happens by itself.
    private static func notice(of record: SagaRecord, after before: SagaRecord) throws -> EventDraft? {
        guard record.status.isFinal, before.status != record.status else { return nil }
        return try SagaJournal.notice("$saga.\(record.status.rawValue)", record)
    }

    /// Keeps the tables of waits and locks as the instance's tasks are, and notes whether what one of them waits for is there; true if the record has got a fencing token.
    private func keepWaits(
        _ record: inout SagaRecord, insteadOf before: SagaRecord, _ waits: inout Waits, _ now: Date,
        in transaction: Transaction
    ) throws -> Bool {
        var isChanged = false
        if !before.progress.locks.isEmpty || !record.progress.locks.isEmpty {
            let steps = Set(record.progress.locks.map(\.step))
            for lock in before.progress.locks where !steps.contains(lock.step) {
                waits.woken.formUnion(
                    try SagaLockTable.release(lock, of: before.number, at: now, in: transaction))
            }
            for index in record.progress.locks.indices {
                let lock = record.progress.locks[index]
                if lock.token == 0 {
                    let asked = try SagaLockTable.ask(lock, for: before.number, at: now, in: transaction)
                    record.progress.locks[index].token = asked.token
                    if asked.isAnswered { waits.hasMessage = true }
                    isChanged = true
                } else if record.progress.tasks.contains(where: { $0.step == lock.step && $0.isListening }),
                    try SagaLockTable.state(lock, of: before.number, in: transaction) != .waiting
                {
                    // It became its own while another branch was under way, or while it was stuck.
                    waits.hasMessage = true
                }
            }
        }
        let was = SagaCommit.addresses(before)
        let listens = SagaCommit.addresses(record)
        if was.isEmpty, listens.isEmpty { return isChanged }
        for address in was.subtracting(listens) {
            try SagaTables.stopListening(record, at: address, in: transaction)
        }
        for address in listens.subtracting(was) { try SagaTables.listen(record, at: address, in: transaction) }
        if !waits.hasMessage {
            waits.hasMessage = try listens.contains {
                try SagaTables.message(for: record.saga, $0, besides: record.progress.taken, in: transaction) != nil
            }
        }
        return isChanged
    }

    /// What the instance waits for that comes as a message.
    private static func addresses(_ record: SagaRecord) -> Set<SagaAddress> {
        let locks = Set(record.progress.locks.map(\.step))
        return Set(
            record.progress.tasks.filter { $0.isListening && !locks.contains($0.step) }.compactMap(\.awaits))
    }

    private func tellParent(_ record: SagaRecord, _ now: Date, in transaction: Transaction) throws {
        guard let parent = record.parent, let slash = parent.firstIndex(of: "/"),
            let id = UniqueID(String(parent[..<slash])), let waiting = try SagaTables.instance(id, in: transaction)
        else { return }
        let end = SagaMessage.ChildEnd(
            status: record.status, state: record.state,
            problem: try record.problem.map { try JSON.decode(Problem.self, from: Array($0.utf8)) })
        _ = try SagaTables.deliver(
            try JSON.encode(end), id: record.id.description, to: waiting.saga,
            SagaAddress(topic: SagaMessage.child, key: parent), at: now, in: transaction)
    }
}
