import DovetailContracts
import DovetailCore
import DovetailModules
import DovetailSagas

extension ModuleBuilder<AdminAPI> {
    /// Answers what an operator asks about sagas.
    mutating func handleSagas(of node: Node, _ journal: SagaJournal) {
        handle(\.sagas) { query, _ in
            .init(
                sagas: try await journal.instances(
                    saga: query.saga, status: query.status, before: query.before,
                    limit: min(max(query.limit ?? 100, 1), 10_000)))
        }
        handle(\.saga) { query, _ in
            let (record, entries) = try await journal.known(query.id)
            let locks = try await journal.locks(of: record.id)
            return .init(record: record, journal: entries, locks: locks.isEmpty ? nil : locks)
        }
        handle(\.interveneInSaga) { request, _ in
            let (record, _) = try await journal.known(request.id)
            let intervention = SagaIntervention(request.action, step: request.step, reason: request.reason)
            guard let saga = node.saga(named: record.saga) else {
                throw AdminAPI.refused(
                    "the program has no saga '\(record.saga)' any more; bring it back to bring its instances to an end")
            }
            // Said at once; it is looked at again when it is carried out.
            if let refusal = saga.refusal(of: intervention, on: record) {
                throw AdminAPI.refused("the saga \(record.id) is left as it is: \(refusal)")
            }
            try await asked { try await journal.intervene(record.id, intervention) }
            node.sagaWakeUps.wake(record.saga)
            return Empty()
        }
        handle(\.signalSaga) { signal, _ in
            let (record, _) = try await journal.known(signal.id)
            try await asked { try await journal.signal(record.id, signal.name, try JSON.encode(signal.value)) }
            node.sagaWakeUps.wake(record.saga)
            return Empty()
        }
        handle(\.sagaPlans) { _, _ in .init(plans: try await journal.plans()) }
        handle(\.sagaReaders) { _, _ in
            .init(readers: await node.sagaReaders(journal), parked: try await journal.parked(limit: 1000))
        }
        handle(\.passSagaEvent) { passing, _ in
            guard let reader = node.runtimes.lazy.flatMap(\.sagaReaders).first(where: { $0.saga == passing.saga })
            else {
                throw AdminAPI.unknown("no saga '\(passing.saga)' of this node reads events; see `sagas readers`")
            }
            guard let blocked = reader.blocked, blocked.position == passing.position else {
                let place = reader.blocked.map { "is held up at \($0.position)" } ?? "is not held up"
                throw AdminAPI.refused(
                    "the saga '\(passing.saga)' \(place); only the event that holds it up can be put aside")
            }
            try await asked {
                try await journal.pass(
                    passing.saga, position: passing.position, error: blocked.error, reason: passing.reason)
            }
            return Empty()
        }
    }
}

extension Node {
    /// The readers of the sagas' events.
    func sagaReaders(_ journal: SagaJournal) async -> [AdminAPI.SagaReader] {
        let (head, parked) = (store.log.head, try? await journal.parkedCounts())
        return runtimes.flatMap(\.sagaReaders).map { reader in
            .init(
                saga: reader.saga, scanned: reader.scanned, lag: max(0, head - reader.scanned),
                parked: parked.map { $0[reader.saga] ?? 0 }, blockedAt: reader.blocked?.position,
                blocked: reader.blocked.map {
                    "\($0.type) at \($0.position), tried \($0.attempts) times: \($0.error)"
                })
        }
    }

    /// The saga of this name that one of the node's modules runs.
    func saga(named name: String) -> (any AnySaga)? {
        runtimes.lazy.flatMap(\.parts.sagas).first { $0.name == name }
    }
}

extension SagaJournal {
    fileprivate func known(_ id: String) async throws -> (SagaRecord, [SagaJournalEntry]) {
        guard let number = UniqueID(id), let found = try await instance(number) else {
            throw AdminAPI.unknown("there is no saga '\(id)' on this node; `sagas list` shows those there are")
        }
        return found
    }
}

/// Does what an operator asks of a saga; a refusal is told in its words.
private func asked(_ action: () async throws -> Void) async throws {
    do { try await action() } catch let refusal as SagaRefusal {
        throw AdminAPI.refused(refusal.description)
    }
}
