import DovetailContracts
import DovetailCore
import Foundation
import Logging
import ServiceLifecycle
import Synchronization

/// Brings events of another node's log into this one, for whoever listens to them here.
///
/// Each event is appended once, under the id it has there, in the order it has there, in one transaction with the place up to which was read. It keeps source,
/// correlation and trace; its time is when it came. Whoever listens here needs the other node only to be up some time: events wait in its log.
public final class EventFeed: Service {
    /// Where the feed is.
    public struct Status: Sendable {
        /// The feed's durable name.
        public var name: String
        /// Every event of the other log up to this number was looked at.
        public var scanned: Int64
        /// The other log's last number, as it was last told.
        public var head: Int64
        /// Why it does not get further, if it does not.
        public var problem: String?
    }

    private let name: String
    private let log: any EventLog
    private let read: @Sendable (_ after: LogPosition?) async throws -> FeedPage
    private let state: Mutex<Status>
    private let logger = Logger(label: "dovetail.feeds")

    /// A feed into `log`, under a durable name that stands for where it reads and what it wants; `read` asks the other node for what comes after a place.
    public init(
        _ name: String, into log: any EventLog,
        read: @escaping @Sendable (_ after: LogPosition?) async throws -> FeedPage
    ) {
        self.name = name
        self.log = log
        self.read = read
        state = Mutex(Status(name: name, scanned: 0, head: 0, problem: nil))
    }

    /// Where the feed is.
    public var status: Status { state.withLock { $0 } }

    /// Reads on until the task is cancelled. What fails is tried again, with growing pauses.
    public func run() async throws {
        var failures = 0
        while !Task.isCancelled {
            do {
                try await step()
                failures = 0
            } catch is CancellationError {
                return
            } catch {
                failures += 1
                tell("\(error)", isNew: failures == 1)
                let pause = min(0.1 * Double(1 << min(failures - 1, 10)), 5) * Double.random(in: 0.5...1)
                do { try await Task.sleep(for: .seconds(pause)) } catch { return }
            }
        }
    }

    private func tell(_ problem: String, isNew: Bool) {
        state.withLock { $0.problem = problem }
        if isNew { logger.warning("a feed does not get on", metadata: ["feed": "\(name)", "error": "\(problem)"]) }
    }

    /// Reads once, and appends what is new.
    private func step() async throws {
        let cursor = try await place()
        let page = try await read(cursor.map { LogPosition(log: $0.log, epoch: $0.epoch, number: $0.scanned) })
        // Of another log, or one that was restored, it begins at the beginning, with what is here already.
        let drafts = try await missing(page)
        if let keys = page.keys { try PersonalData.vault?.take(keys) }
        let next = Cursor(log: page.scanned.log, epoch: page.scanned.epoch, scanned: page.scanned.number)
        if next != cursor {
            let name = name
            try await log.transaction("feed \(name)", as: .engine) { transaction in
                if !drafts.isEmpty { try transaction.append(Append(events: drafts)) }
                try next.save(name, in: transaction)
            }
        }
        state.withLock { $0 = Status(name: name, scanned: next.scanned, head: page.head, problem: nil) }
    }

    private func place() async throws -> Cursor? {
        let name = name
        if let cursor = try? await log.snapshot({ try Cursor.load(name, in: $0) }) { return cursor }
        return try await log.transaction("feed \(name)", as: .engine) { transaction in
            try transaction.execute(Cursor.table)
            return try Cursor.load(name, in: transaction)
        }
    }

    private func missing(_ page: FeedPage) async throws -> [EventDraft] {
        var drafts: [EventDraft] = []
        for entry in page.events where try await log.event(id: entry.event.id) == nil {
            var draft = entry.event
            draft.attributes.headers = draft.attributes.headers ?? [:]
            draft.attributes.headers?[EventAttributes.originHeader] = entry.origin.description
            drafts.append(draft)
        }
        return drafts
    }
}
