import DovetailContracts
import DovetailCore
import DovetailEvents
import Foundation

/// A transition about to be written: how the instance was, how it has moved, and what else belongs to the same commit.
struct SagaCommit: Sendable {
    /// The instance as its owner knew it.
    var before: SagaRecord
    let move: SagaMachine.Move
    /// The move's progress as it is stored: made here, not on the writer's thread.
    let progress: String
    /// A child that begins.
    var child: SagaRecord?
    /// Whether the move itself is the answer to what an operator asks.
    var answersRequest = false
    /// What an operator has asked meanwhile, applied to the move.
    let intervene: @Sendable (SagaRecord, SagaIntervention) -> SagaMachine.Move

    init(
        before: SagaRecord, move: SagaMachine.Move, answersRequest: Bool,
        intervene: @escaping @Sendable (SagaRecord, SagaIntervention) -> SagaMachine.Move
    ) {
        self.before = before
        self.move = move
        self.answersRequest = answersRequest
        self.intervene = intervene
        progress = move.record.progress.text
    }

    /// What became of it.
    enum Result: Sendable {
        /// It is written: the instance as it is now, and whether a message has come for one of its waits.
        case written(SagaRecord, hasMessage: Bool)
        /// Somebody else has changed the instance: nothing was written.
        case lost
    }

    /// Writes the transition, in the owner's transaction.
    func write(epoch: Int, now: Date, in transaction: Transaction) throws -> Result {
        var move = move
        move.record.revision = before.revision + 1
        move.record.epoch = epoch
        var lines = move.lines
        var cancelled = move.cancelledChildren
        var listening = try listen(move.record, insteadOf: before, in: transaction)
        var due = listening ? now : move.record.dueAt
        move.record.dueAt = due
        if try !SagaTables.update(
            move.record, progress: progress, after: before, answersRequest: answersRequest, now: now, in: transaction)
        {
            guard let current = try SagaTables.instance(before.number, in: transaction),
                current.revision == before.revision, let text = current.request
            else { return .lost }
            let request = try JSON.decode(SagaIntervention.self, from: Array(text.utf8))
            var second = intervene(move.record, request)
            second.record.revision = before.revision + 1
            second.record.epoch = epoch
            lines += second.lines
            cancelled += second.cancelledChildren
            listening = try listen(second.record, insteadOf: move.record, in: transaction)
            due = listening ? now : second.record.dueAt
            second.record.dueAt = due
            guard
                try SagaTables.update(
                    second.record, progress: second.record.progress.text, after: before, answersRequest: true, now: now,
                    in: transaction)
            else { return .lost }
            move = second
        }
        for (index, line) in lines.enumerated() {
            var line = line
            line.sequence = Int64(move.record.revision) * 4096 + Int64(index)
            try SagaTables.note(line, of: move.record.number, in: transaction)
        }
        if let child { try SagaJournal.start(child, in: transaction) }
        for id in cancelled {
            let request = SagaIntervention(.cancel, reason: "its parent \(before.id) has turned back")
            let text = String(decoding: try JSON.encode(request), as: UTF8.self)
            try transaction.execute(
                """
                UPDATE dovetail_saga_instances SET request = \(text), due_at = \(now)
                WHERE id = \(id) AND request IS NULL AND status NOT IN ('completed', 'compensated')
                """)
        }
        if move.record.status.isFinal, before.status != move.record.status {
            try SagaJournal.publish("$saga.\(move.record.status.rawValue)", move.record, in: transaction)
        }
        if move.record.status.hasEnded { try tellParent(move.record, now, in: transaction) }
        return .written(move.record, hasMessage: listening)
    }

    /// Keeps the table of waits as the instance's tasks are; true if what one of them waits for is there.
    private func listen(
        _ record: SagaRecord, insteadOf before: SagaRecord, in transaction: Transaction
    ) throws -> Bool {
        let was = Set(before.progress.tasks.filter(\.isListening).compactMap(\.awaits))
        let now = Set(record.progress.tasks.filter(\.isListening).compactMap(\.awaits))
        if was.isEmpty, now.isEmpty { return false }
        for address in was.subtracting(now) { try SagaTables.stopListening(record, at: address, in: transaction) }
        for address in now.subtracting(was) { try SagaTables.listen(record, at: address, in: transaction) }
        return try now.contains {
            try SagaTables.message(for: record.saga, $0, besides: record.progress.taken, in: transaction) != nil
        }
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
