import DovetailContracts
import DovetailEvents
import DovetailModules
import DovetailPrivacy

extension ModuleBuilder<AdminAPI> {
    /// What an operator may ask about people whose data is kept, and do for them.
    mutating func handlePrivacy(of node: Node) {
        let store = node.store.keys.store
        handle(\.subjects) { query, _ in
            .init(
                subjects: try store.subjects(
                    after: query.after ?? "", limit: min(max(query.limit ?? 100, 1), 10_000)
                ).map(AdminAPI.SubjectLine.init))
        }
        handle(\.subject) { query, _ in
            guard let status = try store.status(of: query.subject) else {
                throw AdminAPI.unknown("this node keeps nothing personal of '\(query.subject)', and never forgot it")
            }
            return .init(status)
        }
        handle(\.forgetSubject) { query, _ in
            try await toldResult {
                do { try await node.privacy.forget(query.subject, reason: query.reason) } catch let error
                    as PersonalDataError
                {
                    throw AdminAPI.refused("\(error)")
                }
                try await node.store.log.record(
                    Intervention(action: "subject-forgotten", subscription: query.subject, detail: query.reason))
                guard let status = try store.status(of: query.subject) else {
                    throw AdminAPI.unknown("'\(query.subject)' is forgotten, and nothing is known of that")
                }
                return .init(status)
            }
        }
        handle(\.backUpKeys) { query, _ in
            try await told {
                guard case .sqlite(let store) = node.store else {
                    throw AdminAPI.refused("this node keeps its store in memory, and its keys with it")
                }
                try await store.backUpKeys(to: resolve(query.file, in: node.folder))
            }
        }
    }
}

extension AdminAPI.SubjectLine {
    fileprivate init(_ status: SubjectStatus) {
        self.init(
            subject: status.subject, keys: status.keys, since: status.since, forgottenAt: status.forgotten?.at,
            reason: status.forgotten?.reason)
    }
}
