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
    private let read: @Sendable (_ after: Int64) async throws -> FeedPage
    private let state: Mutex<Status>
    private let logger = Logger(label: "dovetail.feeds")

    /// A feed into `log`, under a durable name that stands for where it reads and what it wants; `read` asks the other node for what comes after a number.
    public init(
        _ name: String, into log: any EventLog, read: @escaping @Sendable (_ after: Int64) async throws -> FeedPage
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
        var page = try await read(cursor?.scanned ?? 0)
        if let cursor, cursor.log != page.log || cursor.epoch != page.epoch {
            // Another log, or one that was restored: from its beginning, without what is here already.
            page = try await read(0)
        }
        let drafts = try await missing(page)
        let next = Cursor(log: page.log, epoch: page.epoch, scanned: page.scanned)
        if next != cursor || !drafts.isEmpty {
            let name = name
            try await log.transaction("feed \(name)", as: .engine) { transaction in
                if !drafts.isEmpty { try transaction.append(Append(events: drafts)) }
                try next.save(name, in: transaction)
            }
        }
        state.withLock { $0 = Status(name: name, scanned: page.scanned, head: page.head, problem: nil) }
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
        for event in page.events where try await log.event(id: event.id) == nil {
            var attributes = event.attributes
            let origin = LogPosition(log: page.log, epoch: page.epoch, number: event.number)
            attributes.headers = (attributes.headers ?? [:]).merging([EventAttributes.originHeader: origin.description])
            { $1 }
            drafts.append(
                EventDraft(
                    id: event.id, type: event.type, version: event.version, key: event.key, source: event.source,
                    attributes: attributes, data: event.data))
        }
        return drafts
    }
}
