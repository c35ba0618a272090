import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import Foundation
import Logging
import ServiceLifecycle
import Synchronization

/// Carries the instances of one saga from step to step.
///
/// New instances begin with their event, in the transaction that moves the reader's cursor; all others are found in the journal, where the process left them. Each
/// step is carried out at least once, each transition committed once. A saga has one owner: who takes it over raises a number that every commit is checked against,
/// so that an owner which does not know that it was replaced writes nothing more, and stops. On shutdown steps in progress are cancelled and taken up at the next start.
final class SagaRunner<State: Wire>: SagaService {
    let saga: Saga<State>
    let machine: SagaMachine
    let log: any EventLog
    let journal: SagaJournal
    private let worker: SagaWorker<State>
    private let wakeUps: SagaWakeUps
    let wakes: WakeUps
    let clock: SagaClock
    private let concurrency: Int
    private let keepEnded: Duration?
    let intakes: [String: SagaIntake<State>]
    let arrivals: SagaArrivals
    private let intakeReader = Mutex<EffectivelyOnceReader?>(nil)
    let logger = Logger(label: "dovetail.sagas")
    /// After so many failed attempts it is said that a step fails; when it is given up on is its policy's business.
    private static var attemptsBeforeWarning: Int { 5 }
    let epoch = Mutex(0)
    let lost = Watermark(0)
    /// Instances that could not be written when they were carried last.
    private let interrupted = Mutex<Set<Int64>>([])

    init(
        _ saga: Saga<State>, log: any EventLog, commands: CommandExecutor, source: String, wakeUps: SagaWakeUps,
        clock: SagaClock = .system, concurrency: Int = 64, keepEnded: Duration? = nil
    ) {
        precondition(!saga.steps.isEmpty, "the saga '\(saga.name)' has no steps")
        self.saga = saga
        machine = SagaMachine(plan: saga.plan)
        self.log = log
        journal = SagaJournal(log: log)
        worker = SagaWorker(
            saga: saga, machine: machine, journal: journal, commands: commands, source: source, clock: clock)
        self.wakeUps = wakeUps
        wakes = wakeUps.of(saga.name)
        self.clock = clock
        self.concurrency = concurrency
        self.keepEnded = keepEnded
        intakes = SagaIntake.all(of: saga)
        arrivals = SagaArrivals(limit: 4 * concurrency)
        guard !intakes.isEmpty else { return }
        let reader = EffectivelyOnceReader(
            "saga \(saga.name)", from: log, into: log, types: Set(intakes.keys).union(SagaIntervention.topics),
            batch: 256
        ) { [weak self] event in
            self?.effect(of: event) ?? { _ in throw CancellationError() }
        }
        intakeReader.withLock { $0 = reader }
    }

    func prepare() async throws {
        try await journal.prepare()
        try await intakeReader.withLock { $0 }?.prepare()
    }

    var hold: RetentionHold? {
        intakeReader.withLock { $0 }.map { RetentionHold(name: "the saga '\(saga.name)'", done: $0.status.scanned) }
    }

    var reader: SagaReaderStatus? {
        intakeReader.withLock { $0?.status }.map { status in
            SagaReaderStatus(
                saga: saga.name, scanned: status.scanned,
                blocked: status.blocked.map {
                    .init(position: $0.position.number, type: $0.type, error: $0.error, attempts: $0.attempts)
                })
        }
    }

    func run() async throws {
        do {
            try await prepare()
            let owned = try await journal.takeOver(saga.name, as: saga.description)
            epoch.withLock { $0 = owned }
            try await takeParked()
            let committer = SagaCommitter(saga.name, epoch: owned, journal: journal, clock: clock)
            try await withThrowingTaskGroup(of: Void.self) { group in
                if let reader = intakeReader.withLock({ $0 }) { listen(reader, &group) }
                group.addTask { await committer.run() }
                group.addTask { try await self.schedule(committer) }
                group.addTask { try await self.sweep() }
                group.addTask {
                    _ = try await self.lost.wait(for: 1)
                    throw SagaOwnershipLost(saga: self.saga.name)
                }
                defer { group.cancelAll() }
                try await group.next()
            }
        } catch is CancellationError {
            return
        } catch let error as SagaOwnershipLost {
            logger.critical("a saga is carried by another node", metadata: ["saga": "\(saga.name)"])
            throw error
        }
    }

    /// Lets go of messages that nobody has waited for in their time, and of instances that have ended, now and then.
    private func sweep() async throws {
        while true {
            let (now, owned) = (clock.now(), epoch.withLock { $0 })
            if saga.receivesMessages {
                let date = now.addingTimeInterval(-saga.keepsMessages.inSeconds)
                try await patiently { _ = try await journal.forgetMessages(of: saga.name, before: date) }
            }
            if let keepEnded {
                let date = now.addingTimeInterval(-keepEnded.inSeconds)
                try await patiently { _ = try await journal.removeEnded(of: saga.name, before: date, epoch: owned) }
            }
            try await clock.sleep(for: .seconds(3600))
        }
    }

    /// Does something with the log until it succeeds: a log that fails for a while must not leave instances behind. Throws when the log has stopped, or the task is cancelled.
    func patiently<Value>(_ body: () async throws -> Value) async throws -> Value {
        while true {
            do { return try await body() } catch let error as LogError where error.code != .stopped {
                logger.error(
                    "a saga's journal does not answer", metadata: ["saga": "\(saga.name)", "error": "\(error)"])
                try await clock.sleep(for: .seconds(1))
            }
        }
    }

    // MARK: Scheduling

    private enum Turn {
        /// An instance was carried as far as it went; `ended` if nothing is left of it to do.
        case driven(Int64, ended: Bool)
        case woken
    }

    /// Runs what is due, each instance in a task of its own, and sleeps until something else is.
    private func schedule(_ committer: SagaCommitter) async throws {
        try await withThrowingTaskGroup(of: Turn.self) { group in
            var active: Set<Int64> = []
            var queue: ArraySlice<SagaRecord> = []
            var isWaiting = false
            // Counted before a look: what comes during it is a reason for the next one.
            var (seen, looks) = (wakes.value, wakes.looks)
            var lookedAt = clock.now()
            var watch = SagaClockWatch(lookedAt, clock.steady.now)
            /// Those that were carried when the clock was set back.
            var late: Set<Int64> = []
            // The log may have been written by a clock that went ahead of this one.
            if let last = await lastDate(),
                last > lookedAt.addingTimeInterval(SagaClockWatch.tolerance.inSeconds)
            {
                try await catchUp(lookedAt, setBackBy: .seconds(last.timeIntervalSince(lookedAt)), besides: [])
            }
            var next = lookedAt
            var hasMore = true
            /// The youngest instance that was found: what is handed over and not younger was found already, or will be.
            var youngest: Int64 = 0
            while true {
                if queue.isEmpty, active.count < concurrency, hasMore {
                    lookedAt = clock.now()
                    if let back = watch.setBack(lookedAt, clock.steady.now) {
                        try await catchUp(lookedAt, setBackBy: back, besides: active)
                        late = active
                        next = .distantPast
                    }
                    let found = try await look(at: lookedAt, besides: active)
                    (queue, hasMore) = (found.records[...], found.hasMore)
                    youngest = max(youngest, queue.map(\.number).max() ?? 0)
                }
                while active.count < concurrency, let record = queue.popFirst() {
                    active.insert(record.number)
                    group.addTask { try await self.drive(record, committer) }
                }
                if !isWaiting, !hasMore {
                    isWaiting = true
                    if next <= lookedAt {
                        let due = try await patiently { try await journal.nextDue(saga.name, after: lookedAt) }
                        next = min(due ?? .distantFuture, lookedAt.addingTimeInterval(60))
                    }
                    group.addTask { [seen, next] in
                        try await self.wakes.wait(beyond: seen, until: next, self.clock)
                        return .woken
                    }
                }
                switch try await group.next() {
                case .driven(let number, let ended):
                    active.remove(number)
                    if late.remove(number) != nil, !ended { try await catchUp(clock.now(), number) }
                    // It may be due again before the timer that is set.
                    if !ended { wakes.bump() }
                case .woken:
                    isWaiting = false
                    seen = wakes.value
                    let arrived = arrivals.take()
                    for record in arrived.records {
                        if record.number > youngest, queue.count < 4 * concurrency {
                            queue.append(record)
                            youngest = record.number
                        } else {
                            hasMore = true
                        }
                    }
                    if arrived.mustLook || wakes.looks != looks || next <= clock.now() { hasMore = true }
                    looks = wakes.looks
                    if watch.missing(clock.now(), clock.steady.now) != nil { hasMore = true }
                    // What is looked for anew may be due at another time as well.
                    if hasMore { next = .distantPast }
                case nil: return
                }
            }
        }
    }

    /// The instances that are due, the longest due first; those whose rows cannot be read are set aside.
    private func look(at time: Date, besides active: Set<Int64>) async throws -> (records: [SagaRecord], hasMore: Bool)
    {
        let limit = 4 * concurrency + active.count
        var found = try await patiently {
            try await journal.due(saga.name, at: time, limit: limit, besides: active)
        }
        let damaged = found.records.filter { $0.damage != nil }
        guard !damaged.isEmpty else { return found }
        for record in damaged {
            logger.error(
                "a saga is stuck: its row cannot be read",
                metadata: [
                    "saga": "\(saga.name)", "number": "\(record.number)", "id": "\(record.id)",
                    "damage": "\(record.damage ?? "")",
                ])
        }
        let owned = epoch.withLock { $0 }
        try await patiently { try await journal.setAside(damaged, of: saga.name, epoch: owned, now: time) }
        found.records.removeAll { $0.damage != nil }
        return found
    }

    // MARK: Carrying

    /// Carries an instance on until it has ended, has to wait, or the task is cancelled.
    private func drive(_ found: SagaRecord, _ committer: SagaCommitter) async throws -> Turn {
        do {
            if let ended = try await carry(found, committer) { return .driven(found.number, ended: ended) }
            _ = interrupted.withLock { $0.insert(found.number) }
            return .driven(found.number, ended: false)
        } catch is CancellationError {
            return .driven(found.number, ended: false)
        } catch let error as SagaOwnershipLost {
            throw error
        } catch {
            // The journal could not be written: the instance is where it was, and found again when it is next looked for.
            logger.error(
                "a saga's transition was not written",
                metadata: ["saga": "\(saga.name)", "id": "\(found.id)", "error": "\(error)"])
            _ = interrupted.withLock { $0.insert(found.number) }
            try? await clock.sleep(for: .seconds(1))
            return .driven(found.number, ended: false)
        }
    }

    /// True if nothing is left to do; nil if somebody else has changed the instance, which is then looked for anew.
    private func carry(_ found: SagaRecord, _ committer: SagaCommitter) async throws -> Bool? {
        let wasInterrupted = interrupted.withLock { $0.remove(found.number) != nil }
        var carried = CarriedSaga(found, worker, epoch: epoch.withLock { $0 }, isInterrupted: wasInterrupted)
        return try await withThrowingTaskGroup(of: SagaWorker<State>.Result.self) { group in
            defer { group.cancelAll() }
            if let commit = try carried.resumption() {
                guard try await write(commit, &carried, committer) else { return nil }
            }
            if let commit = try carried.intervention() {
                guard try await write(commit, &carried, committer) else { return nil }
            }
            if let commit = try carried.givingUp() {
                guard try await write(commit, &carried, committer) else { return nil }
            }
            while let state = carried.state {
                var next: SagaWorker<State>.Result?
                let due = carried.due()
                if due.count == 1, carried.inFlight.count == 1 {
                    // The usual case: one step after the other, in this task.
                    next = try await worker.perform(due[0], of: carried.record, state)
                } else {
                    for task in due {
                        let record = carried.record
                        group.addTask { try await self.worker.perform(task, of: record, state) }
                    }
                    if !carried.inFlight.isEmpty { next = try await group.next() }
                }
                guard let result = next else { break }
                guard let commit = try carried.commit(result) else { continue }
                guard try await write(commit, &carried, committer) else { return nil }
            }
            // One that waits may have been made due since by what it waits for, and passed over because it was carried.
            return carried.record.status.hasEnded
        }
    }

    /// Writes a transition; false if somebody else has changed the instance, which is then looked for anew.
    private func write(
        _ commit: SagaCommit, _ carried: inout CarriedSaga<State>, _ committer: SagaCommitter
    ) async throws -> Bool {
        guard case .written(let record, let hasMessage, let woken) = try await committer.commit(commit) else {
            return false
        }
        carried.written(record, hasMessage: hasMessage)
        for saga in woken { wakeUps.wake(saga) }
        if let child = commit.child { wakeUps.wake(child.saga) }
        if !commit.move.cancelledChildren.isEmpty || record.parent != nil && record.status.hasEnded {
            wakeUps.wakeAll()
        }
        for task in record.progress.tasks where task.attempts == Self.attemptsBeforeWarning {
            guard let line = commit.move.lines.first(where: { $0.step == task.step && $0.outcome == .retry }) else {
                continue
            }
            logger.warning(
                "a saga's step fails again and again",
                metadata: [
                    "saga": "\(saga.name)", "id": "\(record.id)", "step": "\(task.step)",
                    "attempts": "\(task.attempts)", "problem": "\(line.detail ?? "")",
                ])
        }
        if record.status == .stuck, commit.before.status != .stuck {
            logger.error(
                "a saga is stuck",
                metadata: [
                    "saga": "\(saga.name)", "id": "\(record.id)",
                    "step": "\(record.progress.tasks.filter(\.isStuck).map(\.step).joined(separator: ", "))",
                    "problem": "\(record.progress.tasks.compactMap(\.failure).joined(separator: "; "))",
                    "hint": "see `sagas show`, then `sagas retry`, `skip` or `compensate`",
                ])
        }
        return true
    }
}
