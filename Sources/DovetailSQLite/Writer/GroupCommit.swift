import DovetailCore
import DovetailEvents
import Logging
import SQLiteBinding

/// Runs requests in groups that share one commit. Lives on the writer's thread.
final class GroupCommit {
    /// A request of the group, as it came out so far.
    private enum Entry {
        case appended(AppendRequest, Appended)
        case ran(any ClosureRequest)
        case refused(Request, any Error)

        var request: Request {
            switch self {
            case .appended(let request, _): .append(request)
            case .ran(let request): .closure(request)
            case .refused(let request, _): request
            }
        }
    }

    /// How a request left the transaction.
    private enum Step {
        case entry(Entry)
        case broke(any Error)
        case lost(SQLiteFailure)
    }

    /// What the writer can do after a group.
    enum Condition {
        case sound
        case full
        case failed(LogError)
    }

    private static let maximumRequests = 512
    private static let maximumBytes = 4 << 20
    private static let maximumTime = Duration.milliseconds(2)
    private static let longClosure = Duration.milliseconds(20)

    private let connection: SQLiteConnection
    private let log: LogWriter?
    private let head: Watermark
    private let condition: ConditionCell
    private let times: CommitTimes
    private let subject: String
    private let beforeCommit: (() throws -> Void)?
    private let runner: ClosureRunner
    private let begin: SQLiteStatement
    private let commitStatement: SQLiteStatement
    private let rollBack: SQLiteStatement
    /// Labels of closures that took long: they get transactions of their own, so that others do not wait for their commit.
    private var longLabels: Set<String> = []

    init(
        _ connection: SQLiteConnection, log: LogWriter?, head: Watermark, condition: ConditionCell, times: CommitTimes,
        beforeCommit: (() throws -> Void)?
    ) throws {
        self.beforeCommit = beforeCommit
        self.connection = connection
        self.times = times
        self.log = log
        self.head = head
        self.condition = condition
        subject = connection.path
        runner = try ClosureRunner(connection)
        begin = try connection.prepare("BEGIN IMMEDIATE")
        commitStatement = try connection.prepare("COMMIT")
        rollBack = try connection.prepare("ROLLBACK")
    }

    /// Runs requests from the front of `backlog`, taking in more from `mailbox` while there is room, and commits them together.
    func run(_ backlog: inout RequestQueue, from mailbox: Mailbox, publishing isOpenForAppends: Bool) -> Condition {
        let started = MonotonicTime.now
        var entries: [Entry] = []
        var bytes = 0
        let mark = log?.mark
        do { try begin.run() } catch { return lose(error, backlog.removeAll(), isCommit: false) }
        while let request = backlog.popFirst(refillingFrom: mailbox) {
            if case .closure(let closure) = request, longLabels.contains(closure.label), !entries.isEmpty {
                backlog.putBack(request)
                break
            }
            bytes += request.bytes
            switch step(request, isOpenForAppends: isOpenForAppends) {
            case nil: break
            case .entry(let entry): entries.append(entry)
            case .broke(let error):
                if let mark { log?.rollBack(to: mark) }
                end()
                request.fail(error)
                return runAlone(entries.map(\.request))
            case .lost(let failure):
                if let mark { log?.rollBack(to: mark) }
                end()
                return lose(failure, entries.map(\.request) + [request], isCommit: false)
            }
            if entries.count >= GroupCommit.maximumRequests || bytes >= GroupCommit.maximumBytes { break }
            // The clock is cheap, but not as cheap as an append.
            if entries.count & 15 == 0 || isSlow(request), MonotonicTime.now - started > GroupCommit.maximumTime {
                break
            }
        }
        return commit(entries, mark: mark)
    }

    private func isSlow(_ request: Request) -> Bool {
        if case .closure = request { true } else { false }
    }

    /// Runs each in a transaction of its own, after a group was broken by one of them.
    private func runAlone(_ requests: [Request]) -> Condition {
        for (index, request) in requests.enumerated() {
            let rest = requests[(index + 1)...]
            let mark = log?.mark
            do { try begin.run() } catch { return lose(error, [request] + rest, isCommit: false) }
            switch step(request, isOpenForAppends: true) {
            case nil: end()
            case .entry(let entry):
                let condition = commit([entry], mark: mark)
                guard case .sound = condition else {
                    _ = lose(condition, Array(rest))
                    return condition
                }
            case .broke(let error):
                if let mark { log?.rollBack(to: mark) }
                end()
                request.fail(error)
            case .lost(let failure):
                if let mark { log?.rollBack(to: mark) }
                end()
                return lose(failure, [request] + rest, isCommit: false)
            }
        }
        return .sound
    }

    private func step(_ request: Request, isOpenForAppends: Bool) -> Step? {
        switch request {
        case .append(let append):
            guard let log else {
                return .entry(.refused(request, GroupCommit.notALog(subject)))
            }
            guard isOpenForAppends else { return .entry(.refused(request, fullError())) }
            do {
                let outcome = try log.append(append.appends)
                if !outcome.wasDuplicate {
                    for event in append.appends.lazy.flatMap(\.events) { appended.add(event.draft.type) }
                }
                return .entry(.appended(append, outcome))
            } catch let failure as SQLiteFailure {
                return failure.isFull || failure.isDiskFailure ? .lost(failure) : .broke(failure.error(subject))
            } catch {
                return .entry(.refused(request, error))
            }
        case .closure(let closure):
            guard closure.take() else { return nil }
            guard isOpenForAppends || closure.role.mayWriteEngineTables else {
                return .entry(.refused(request, fullError()))
            }
            return step(closure)
        }
    }

    private func step(_ closure: any ClosureRequest) -> Step {
        let started = MonotonicTime.now
        let mark = log?.mark
        appendedByClosure = TopicCounts()
        let outcome = closure.run(with: runner, append: append) { if let mark { log?.rollBack(to: mark) } }
        if MonotonicTime.now - started > GroupCommit.longClosure { remember(closure.label) }
        // Even if the closure caught it: after one of these nothing that the connection holds is certain.
        if let failure = connection.takeFailure() ?? appendFailure, failure.isFull || failure.isDiskFailure {
            appendFailure = nil
            return .lost(failure)
        }
        appendFailure = nil
        switch outcome {
        case .done:
            appended.add(appendedByClosure)
            return .entry(.ran(closure))
        case .failed(let error): return .entry(.refused(.closure(closure), error))
        case .brokeTransaction(let error): return .broke(error)
        }
    }

    /// What the group has appended, and what the present closure has.
    private var appended = TopicCounts()
    private var appendedByClosure = TopicCounts()

    /// The failure of an append inside a closure.
    private var appendFailure: SQLiteFailure?

    private func append(_ append: Append) throws -> Appended {
        guard let log else { throw GroupCommit.notALog(subject) }
        do {
            let outcome = try log.append([PreparedAppend(append)])
            if !outcome.wasDuplicate { for event in append.events { appendedByClosure.add(event.type) } }
            return outcome
        } catch let failure as SQLiteFailure {
            appendFailure = failure
            throw failure.error(subject)
        }
    }

    private func remember(_ label: String) {
        if longLabels.count >= 256 { longLabels.removeAll() }
        guard longLabels.insert(label).inserted else { return }
        Logger(label: "dovetail.sqlite").info(
            "a transaction runs long and holds up the writer; it gets a commit of its own",
            metadata: ["transaction": "\(label)", "store": "\(subject)"])
    }

    // MARK: Ends

    /// Commits, publishes the head, resumes the waiters: in this order, so that who resumes finds what it wrote.
    private func commit(_ entries: [Entry], mark: LogWriter.Mark?) -> Condition {
        let started = MonotonicTime.now
        do { try beforeCommit?() } catch {
            // What the group rests on did not last: nothing of it is written.
            if let mark { log?.rollBack(to: mark) }
            end()
            for entry in entries {
                // Who was refused anyhow is told why.
                if case .refused(let request, let reason) = entry {
                    request.fail(reason)
                } else {
                    entry.request.fail(error)
                }
            }
            guard (error as? LogError)?.code == .storeFull else { return .sound }
            // One disk for all: what is held back on it is given up for that as well.
            condition.set(.full)
            return .full
        }
        do {
            try log?.flush()
            try commitStatement.run()
        } catch {
            appended = TopicCounts()
            if let mark { log?.rollBack(to: mark) }
            end()
            return lose(error, entries.map(\.request), isCommit: true)
        }
        if let log {
            log.ended(committed: true)
            head.advance(to: log.position)
        }
        times.committed(in: .now - started, requests: entries.count, appended: appended.take())
        for entry in entries {
            switch entry {
            case .appended(let request, let appended): request.ticket.fulfil(.success(appended))
            case .ran(let closure): closure.succeed()
            case .refused(let request, let error): request.fail(error)
            }
        }
        return .sound
    }

    private func end() {
        appended = TopicCounts()
        if connection.isInTransaction { try? rollBack.run() }
        log?.ended(committed: false)
    }

    /// The transaction is gone and with it what these did.
    private func lose(_ failure: SQLiteFailure, _ requests: [Request], isCommit: Bool) -> Condition {
        if failure.isFull {
            condition.set(.full)
            for request in requests { request.fail(fullError()) }
            return .full
        }
        if !failure.isDiskFailure {
            // Not the disk's fault, as a constraint that only the commit could check: nothing was written, the writer goes on.
            for request in requests { request.fail(failure.error(subject)) }
            return .sound
        }
        let stop = LogError(
            .stopped, subject, "the disk failed (\(failure.words), code \(failure.code)); check the disk, then restart")
        let told =
            isCommit
            ? LogError(
                .outcomeUnknown, subject,
                "the disk failed while committing (\(failure.words)); whether it lasted shows after a restart, and sending the same ids again is safe"
            ) : stop
        condition.set(.stopped(stop))
        for request in requests { request.fail(told) }
        return .failed(stop)
    }

    private func lose(_ condition: Condition, _ requests: [Request]) -> Condition {
        switch condition {
        case .sound: break
        case .full: for request in requests { request.fail(fullError()) }
        case .failed(let error): for request in requests { request.fail(error) }
        }
        return condition
    }

    private func fullError() -> LogError {
        LogError(
            .storeFull, subject,
            "the disk is full; nothing was written. Free some space: publishing then resumes by itself")
    }

    private static func notALog(_ subject: String) -> LogError {
        LogError(.forbidden, subject, "events are appended to a log, and this database holds read models")
    }
}

/// Requests that the writer has taken from its mailbox and not run yet.
struct RequestQueue {
    private var requests: [Request] = []
    private var next = 0

    var isEmpty: Bool { next == requests.count }

    mutating func fill(_ requests: [Request]) {
        self.requests = requests
        next = 0
    }

    mutating func popFirst(refillingFrom mailbox: Mailbox) -> Request? {
        if isEmpty { fill(mailbox.takeAll()) }
        guard next < requests.count else { return nil }
        defer { next += 1 }
        return requests[next]
    }

    mutating func putBack(_ request: Request) {
        next -= 1
        requests[next] = request
    }

    mutating func removeAll() -> [Request] {
        defer { fill([]) }
        return Array(requests[next...])
    }
}

/// How many events of each topic; quick where one topic follows itself.
struct TopicCounts {
    private var counts: [String: UInt64] = [:]
    private var last = ""
    private var lastCount: UInt64 = 0

    mutating func add(_ topic: String) {
        if topic != last {
            settle()
            last = topic
        }
        lastCount += 1
    }

    mutating func add(_ other: TopicCounts) {
        for (topic, count) in other.counts { counts[topic, default: 0] += count }
        if other.lastCount > 0 { counts[other.last, default: 0] += other.lastCount }
    }

    private mutating func settle() {
        if lastCount > 0 { counts[last, default: 0] += lastCount }
        lastCount = 0
    }

    mutating func take() -> [String: UInt64] {
        settle()
        defer { counts = [:] }
        return counts
    }
}
