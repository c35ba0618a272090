import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailModules
import DovetailObservability
import DovetailSagas

extension Module {
    /// The admin door's module: answers ``AdminAPI`` from the node it is in.
    static func admin(of node: Node) -> Module {
        let journal = SagaJournal(log: node.store.log)
        return Module("admin", provides: AdminAPI()) { admin in
            admin.handle(\.status) { _, _ in try await node.status(journal) }
            admin.handle(\.events) { query, _ in AnswerStream(node.events(query)) }
            admin.handle(\.deadLetters) { query, _ in
                .init(
                    letters: try await node.bus.deadLetters(
                        of: query.subscription, after: query.after ?? 0,
                        limit: min(max(query.limit ?? 100, 1), 10_000)
                    ).map(AdminAPI.DeadLetterLine.init))
            }
            admin.handle(\.redrive) { letter, _ in
                try await told { try await node.bus.redrive(letter.subscription, position: letter.position) }
            }
            admin.handle(\.discard) { letter, _ in
                try await told { try await node.bus.discard(letter.subscription, position: letter.position) }
            }
            admin.handleEvents(of: node)
            admin.handleProjections(of: node)
            admin.handleStreams(of: node)
            admin.handleSagas(of: node, journal)
            admin.handlePrivacy(of: node)
            admin.handle(\.trace) { query, _ in
                guard let id = TraceID(query.id) else { throw AdminAPI.unknown("'\(query.id)' is no trace id") }
                return .init(spans: node.telemetry.spans.spans(traceID: id))
            }
        }
    }
}

/// Does what an operator asks for; what the engine refuses is told to the operator in its words.
func told(_ action: () async throws -> Void) async throws -> Empty {
    try await toldResult {
        try await action()
        return Empty()
    }
}

/// Does what an operator asks for, and returns what comes of it.
func toldResult<Value>(_ action: () async throws -> Value) async throws -> Value {
    do { return try await action() } catch let error as LogError {
        throw AdminAPI.refused("\(error)")
    }
}

extension Node {
    /// How the node is.
    func status(_ journal: SagaJournal) async throws -> AdminAPI.Status {
        let log = store.log
        let sagas = try await journal.counts()
        let subscriptions = try await bus.subscriptions()
        var views: [AdminAPI.Status.View] = []
        for runtime in runtimes {
            guard let builds = try? await runtime.builds() else {
                // While its database cannot be read, what is in memory is told.
                views += runtime.readModel.status.map { projection, status in
                    .init(
                        module: runtime.module, projection: projection, scanned: status.scanned, parked: nil,
                        blocked: status.blocked.map { "\($0.type) at \($0.position.number): \($0.error)" })
                }
                continue
            }
            views += builds.filter(\.isFollowed).map { build in
                .init(
                    module: runtime.module, projection: build.label, scanned: build.scanned, parked: build.parked,
                    blocked: build.blocked.map { "\($0.type) at \($0.position): \($0.error)" })
            }
        }
        return AdminAPI.Status(
            platform: configuration.platform, node: name, modules: runtimes.map(\.module),
            position: log.position(log.head).description, head: log.head, durability: log.durability.rawValue,
            trouble: log.condition.trouble,
            views: views,
            subscriptions: subscriptions.map {
                .init(
                    name: $0.name, topics: $0.topics, scanned: $0.scanned, lag: $0.lag, age: $0.age?.inSeconds,
                    blockedKeys: $0.blockedKeys, deadLetters: $0.deadLetters, problem: $0.problem)
            },
            feeds: feeds.map(\.status).map {
                .init(name: $0.name, scanned: $0.scanned, head: $0.head, problem: $0.problem)
            },
            retention: .init(
                reclaimed: retention.status.reclaimed,
                hold: retention.status.hold.map { "\($0.name), done up to \($0.done)" },
                problem: retention.status.problem, forgotten: try await bus.forgotten()),
            scheduled: try await scheduler.count,
            sagas: Dictionary(sagas.map { ($0.key.rawValue, $0.value) }, uniquingKeysWith: +),
            sagaReaders: await sagaReaders(journal),
            calls: policies.counters.map { callee, counters in
                .init(
                    callee: callee, calls: counters.calls, succeeded: counters.succeeded, failed: counters.failed,
                    attempts: counters.attempts, retries: counters.retries, timedOut: counters.timedOut,
                    circuitOpen: counters.circuitOpen, circuitOpenings: counters.circuitOpenings)
            })
    }

    /// The log from a number on, as it is and, if that is wanted, as it grows.
    fileprivate func events(_ query: AdminAPI.EventQuery) -> AsyncThrowingStream<AdminAPI.EventLine, any Error> {
        let log = store.log
        let types = query.types.map(Set.init)
        let reader = LogTail(log: log, number: query.after ?? 0, types: types, follow: query.follow ?? false)
        let left = LogTail.Countdown(query.limit)
        return AsyncThrowingStream {
            guard left.take(), let event = try await reader.next() else { return nil }
            return AdminAPI.EventLine(event)
        }
    }
}

extension AdminAPI.EventLine {
    /// A stored event as an operator reads it.
    init(_ event: StoredEvent) {
        self.init(
            number: event.position.number, id: event.id.description, type: event.type, version: event.version,
            source: event.source, key: event.key, stream: event.stream?.name, streamVersion: event.stream?.version,
            time: event.time, correlationID: event.attributes.correlationID,
            causationID: event.attributes.causationID, traceparent: event.attributes.traceparent,
            data: JSONValue(shown: event.data))
    }
}

extension AdminAPI.DeadLetterLine {
    /// A dead letter as an operator reads it.
    init(_ letter: DeadLetter) {
        self.init(
            position: letter.position, id: letter.eventID, type: letter.type, version: letter.version,
            source: letter.source, key: letter.eventKey, reason: letter.reason.rawValue, error: letter.error,
            attempts: letter.attempts, firstFailedAt: letter.firstFailedAt, diedAt: letter.diedAt,
            correlationID: letter.attributes.correlationID, traceparent: letter.attributes.traceparent,
            data: JSONValue(shown: letter.data))
    }
}

extension JSONValue {
    /// A payload as an operator reads it: one that is no JSON is shown as text.
    fileprivate init(shown data: [UInt8]) {
        self = (try? JSON.decode(JSONValue.self, from: data)) ?? .string(String(decoding: data, as: UTF8.self))
    }
}
