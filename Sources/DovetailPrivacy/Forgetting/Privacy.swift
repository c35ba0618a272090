import DovetailContracts
import DovetailCore
import DovetailEvents
import Foundation
import Logging
import ServiceLifecycle

/// Forgets subjects on a node, tells its log, and heeds what the log tells of others.
///
/// Forgetting is four steps, each of which may be the last before a crash: the keys go, they are overwritten, the log is told, and it is noted that it was. ``prepare()`` finishes what was
/// begun, and ``run()`` what somebody kept it from. An event that tells of a subject forgotten elsewhere, which came by a feed or stands behind the place of an old file of keys that was brought back, has it forgotten here.
public final class Privacy: Service {
    /// The keys.
    public let keys: KeyRing
    private let log: any EventLog
    private let event = PrivacyEvents().subjectForgotten
    private let logger = Logger(label: "dovetail.privacy")

    /// So many events without a word of a subject, and the place is kept all the same.
    private static let strides: Int64 = 10_000

    /// What is forgotten with `keys`, told in `log`.
    public init(_ keys: KeyRing, log: any EventLog) {
        self.keys = keys
        self.log = log
    }

    /// Forgets a subject. When it returns, its keys are gone for good and the log has the event ``PrivacyEvents/subjectForgotten``; once more, it changes nothing.
    ///
    /// If it throws, the subject may be forgotten already, and the log is told at the next attempt or start.
    @discardableResult
    public func forget(_ subject: String, reason: String? = nil) async throws -> ForgottenSubject {
        guard (1...200).contains(subject.utf8.count) else { throw PersonalDataError(.noSubject, subject) }
        let forgotten = try keys.forget(subject, reason: reason)
        try await announce()
        return forgotten
    }

    /// Finishes what a crash left unfinished, and forgets whom the log has told of. Has to be done before anything is served.
    public func prepare() async throws {
        // Without keys there is nothing that could be read, and the log is looked through beside the work.
        if try keys.store.lock() != nil {
            var place = try start()
            while place < log.head { place = try await follow(place) }
        }
        do { try await finish() } catch let error as LogError where error.code == .locked {
            // Nothing can be read any more, so who reads the file of keys keeps no node from starting.
            logger.error(
                "keys of forgotten subjects are not overwritten yet; it is tried again", metadata: ["error": "\(error)"]
            )
        }
    }

    /// Overwrites the keys of those who are forgotten, then tells the log of them.
    private func finish() async throws {
        try keys.store.overwrite()
        try await announce()
    }

    /// Heeds the log until the task is cancelled.
    public func run() async throws {
        var failures = 0
        var place: Int64?
        while !Task.isCancelled {
            do {
                let from = try place ?? start()
                place = try await follow(from)
                try await finish()
                failures = 0
                if let place, place >= log.head { _ = try await log.waitForHead(beyond: place) }
            } catch is CancellationError {
                return
            } catch let error as LogError where error.code == .stopped {
                return
            } catch {
                failures += 1
                if failures == 1 {
                    logger.error(
                        "a forgetting is not finished; it is tried again",
                        metadata: ["error": "\(error)"])
                }
                do { try await Task.sleep(for: .milliseconds(min(5000, 100 << min(failures, 6)))) } catch { return }
            }
        }
    }

    private func start() throws -> Int64 {
        guard let place = try keys.store.place(), let number = try? log.number(of: place) else { return 0 }
        return number
    }

    /// Looks at the next events; returns how far it has looked.
    private func follow(_ place: Int64) async throws -> Int64 {
        let page = try await log.events(after: place, types: [event.name], limit: 100)
        for stored in page.events where try keys.store.forgotten(stored.key) == nil {
            let told = try stored.payload(event)
            try keys.remove(told.subject, reason: told.payload.reason, announced: true)
            logger.notice(
                "a subject is forgotten because the log says so", metadata: ["subject": "\(told.subject)"])
        }
        let kept = try keys.store.place().flatMap { try? log.number(of: $0) } ?? 0
        if !page.events.isEmpty || page.scanned - kept >= Self.strides {
            try keys.store.keep(log.position(page.scanned))
        }
        return page.scanned
    }

    /// Tells the log of those who were forgotten and of whom it does not know.
    private func announce() async throws {
        for forgotten in try keys.store.unannounced() {
            let told = event(.init(subject: forgotten.subject, at: forgotten.at, reason: forgotten.reason))
            // One event, however often it is tried.
            let id = UniqueID.derived(
                from: event.name, log.identity.log.description, forgotten.subject,
                String(forgotten.at.microsecondsSince1970))
            _ = try await log.publish([try EventDraft(told, id: id, source: "dovetail", context: nil)])
            try keys.store.announced(forgotten.subject)
        }
    }
}
