import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailModules
import DovetailSQLite

extension ModuleBuilder<AdminAPI> {
    /// What an operator may ask about events, and do with them.
    mutating func handleEvents(of node: Node) {
        let (bus, log, scheduler) = (node.bus, node.store.log, node.scheduler)
        handle(\.seek) { seek, _ in
            let start: Subscription.Start =
                seek.time.map { .time($0) } ?? seek.number.map { .position(log.position($0)) } ?? .now
            return try await toldResult { .init(number: try await bus.seek(seek.subscription, to: start)) }
        }
        handle(\.publish) { event, _ in try await toldResult { try await node.publish(event) } }
        handle(\.deadLetterGroups) { query, _ in
            .init(
                groups: try await bus.deadLetterGroups(of: query.subscription).map {
                    .init(
                        type: $0.type, reason: $0.reason.rawValue, error: $0.error, count: $0.count, first: $0.first,
                        lastDiedAt: $0.lastDiedAt)
                })
        }
        handle(\.editDeadLetter) { edit, _ in
            let data = try JSON.encode(edit.data)
            return try await told { try await bus.edit(edit.subscription, position: edit.position, data: data) }
        }
        handle(\.forget) { query, _ in try await told { try await bus.forget(query.subscription) } }
        handle(\.redriveMany) { redrive, _ in
            .reporting { report in
                let reason = redrive.reason.flatMap { DeadLetter.Reason(rawValue: $0) }
                // A word that is no reason must not stand for all of them.
                if let word = redrive.reason, reason == nil {
                    throw LogError(
                        .statement, redrive.subscription,
                        "'\(word)' is no reason; there are failed, undecodable, timedOut and crashed")
                }
                let choice = DeadLetterChoice(type: redrive.type, reason: reason, error: redrive.error)
                let result = try await bus.redrive(
                    redrive.subscription, choice, rate: redrive.rate, dryRun: redrive.dryRun ?? false
                ) { report(.init($0, isDone: false)) }
                report(.init(result, isDone: true))
            } failing: {
                .init(seen: 0, chosen: 0, redriven: 0, waiting: 0, isDone: true, failure: $0)
            }
        }
        handle(\.replay) { replay, _ in
            let start: Subscription.Start =
                replay.from.map { .time($0) } ?? .position(log.position(replay.after ?? 0))
            return .reporting { report in
                let result = try await bus.replay(
                    replay.subscription, from: start, upTo: replay.end, rate: replay.rate,
                    dryRun: replay.dryRun ?? false, progress: { report(.init($0, isDone: false)) })
                report(.init(result, isDone: true))
            } failing: {
                .init(number: 0, end: 0, matched: 0, handled: 0, failed: 0, failures: [], isDone: true, failure: $0)
            }
        }
        handle(\.scheduled) { query, _ in
            .init(
                events: try await scheduler.scheduled(limit: min(max(query.limit ?? 100, 1), 10_000)).map {
                    .init(id: $0.event.id.description, due: $0.due, type: $0.event.type, key: $0.event.key)
                })
        }
        handle(\.cancelScheduled) { query, _ in
            guard let id = UniqueID(query.id), try await scheduler.cancel(id) else {
                throw AdminAPI.unknown("no event '\(query.id)' waits for its time")
            }
            return Empty()
        }
        handle(\.verify) { _, _ in
            .reporting { report in
                let result = try await log.verify { report(.init(number: $0, head: log.head)) }
                report(
                    .init(
                        number: result.head, head: result.head, events: result.events, reclaimed: result.reclaimed,
                        findings: result.findings.map(\.description)))
            } failing: {
                .init(number: 0, head: 0, failure: $0)
            }
        }
        handle(\.backup) { backup, _ in
            .reporting { report in
                guard backup.folder.hasPrefix("/") else {
                    throw LogError(.readOnly, backup.folder, "name the folder by its whole path")
                }
                guard case .sqlite(let store) = node.store else {
                    throw LogError(.readOnly, backup.folder, "a store in memory is not backed up")
                }
                let manifest = try await store.backUp(into: backup.folder) {
                    report(.init(step: $0.step, done: $0.done))
                }
                report(.init(step: "done", done: 1, head: manifest.head))
            } failing: {
                .init(step: "failed", done: 0, failure: $0)
            }
        }
    }
}

extension AdminAPI.RedriveProgress {
    fileprivate init(_ result: EventBus.Redriven, isDone: Bool) {
        self.init(
            seen: result.seen, chosen: result.chosen, redriven: result.redriven, waiting: result.waiting,
            isDone: isDone, failure: nil)
    }
}

extension AdminAPI.ReplayProgress {
    fileprivate init(_ state: EventReplay.Progress, isDone: Bool) {
        self.init(
            number: state.number, end: state.end, matched: state.matched, handled: state.handled,
            failed: state.failed, failures: isDone ? state.failures.map { "at \($0.position): \($0.error)" } : [],
            isDone: isDone, failure: nil)
    }
}

extension AnswerStream {
    /// Lines from a long work, as it reports them; the newest ones where nobody reads as fast. If it fails, a last line says so. Ends with the reader.
    static func reporting(
        _ work: @escaping @Sendable (_ report: @escaping @Sendable (Item) -> Void) async throws -> Void,
        failing: @escaping @Sendable (String) -> Item
    ) -> AnswerStream {
        let (lines, continuation) = AsyncThrowingStream.makeStream(
            of: Item.self, throwing: (any Error).self, bufferingPolicy: .bufferingNewest(64))
        let task = Task {
            do { try await work { continuation.yield($0) } } catch { continuation.yield(failing("\(error)")) }
            continuation.finish()
        }
        continuation.onTermination = { _ in task.cancel() }
        return AnswerStream(lines)
    }
}

extension Node {
    /// Publishes an operator's event; it has to be what a contract says of its topic.
    fileprivate func publish(_ event: AdminAPI.Publish) async throws -> AdminAPI.Published {
        var attributes: [String: String] = [:]
        attributes["partitionkey"] = event.key
        attributes["dataversion"] = event.version.map(String.init)
        var outside = CloudEvent(
            id: event.id ?? UniqueID.v7().description, source: "", type: "", data: try JSON.encode(event.data))
        do {
            try outside.set("source", event.source ?? "operator")
            try outside.set("type", event.type)
            for (name, value) in attributes { try outside.set(name, value) }
        } catch let error as CloudEventError {
            throw AdminAPI.refused("\(error)")
        }
        let draft = outside.draft
        let declared = DeclaredEvents(catalog.looked.flatMap(\.parts.contracts))
        try declared.check(outside, draft, acceptsUndeclared: declared.isEmpty, index: nil)
        if let at = event.at {
            try await scheduler.schedule([draft], at: at)
            return .init(id: draft.id.description, position: nil, wasDuplicate: false)
        }
        let appended = try await store.log.publish([draft])
        return .init(
            id: draft.id.description, position: appended.position.description, wasDuplicate: appended.wasDuplicate)
    }
}
