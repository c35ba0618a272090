import DovetailContracts
import DovetailCore
import DovetailEvents
import Foundation

/// Events in: one or a batch, answered when they are durable.
extension EventDoor {
    /// What a publisher is told.
    private struct Published: Encodable {
        /// The place of the last event.
        var position: String
        /// What the log promises of it: `disk`, `os` or `memory`.
        var durability: String
        /// The ids that the log knows the events by, in their order: what cancels a scheduled one.
        var ids: [String]
        /// How many of them the log had already.
        var duplicates: Int
    }

    private struct Scheduled: Encodable {
        var ids: [String]
        var due: Date
    }

    func publish(
        _ request: RawRequest, _ query: EventQuery, for client: PlatformConfiguration.EventClient
    ) async throws -> RawResponse {
        try query.allow("at")
        let events = try CloudEvent.read(request.headers, request.body, atMost: settings.maxBatch)
        let isBatch = request.headers[.contentType]?.hasPrefix(CloudEvent.batchMediaType) == true
        let drafts = try events.enumerated().map { index, event in
            try check(event, for: client, index: isBatch ? index : nil)
        }
        if let at = query["at"] {
            guard let due = Timestamp.date(at), Timestamp.text(due) != nil else {
                throw query.invalid("at", "a time as 2026-01-31T12:00:00Z (RFC 3339)")
            }
            try await scheduler.schedule(drafts, at: due)
            var response = try RawResponse.json(Scheduled(ids: drafts.map(\.id.description), due: due))
            response.status = .accepted
            return response
        }
        let (appended, duplicates) = try await append(drafts)
        let position = appended?.position ?? log.position(log.head)
        var response = try RawResponse.json(
            Published(
                position: position.description, durability: (appended?.durability ?? log.durability).rawValue,
                ids: drafts.map(\.id.description), duplicates: duplicates))
        response.headers[.dovetailPosition] = position.description
        return response
    }

    func cancel(_ id: String, for client: PlatformConfiguration.EventClient) async throws -> RawResponse {
        guard let id = UniqueID(id), let event = try await scheduler.scheduled(id),
            client.publish.contains(where: { $0.matches(event.event.type) }), try await scheduler.cancel(id)
        else {
            throw Problem("not-found", status: 404)(
                "no event of this id waits for its time: it was published, cancelled, or never scheduled")
        }
        return RawResponse(status: .noContent)
    }

    private func check(
        _ event: CloudEvent, for client: PlatformConfiguration.EventClient, index: Int?
    ) throws -> EventDraft {
        guard client.publish.contains(where: { $0.matches(event.type) }) else {
            var problem = Problem("forbidden", status: 403)(
                "the client '\(client.name)' may not publish '\(event.type)'")
            problem.violations = [
                .init(
                    pointer: "\(index.map { "/\($0)" } ?? "")/type",
                    expected:
                        "expected a topic that the client may publish: \(client.publish.map(\.description).joined(separator: ", "))"
                )
            ]
            throw problem
        }
        if let data = event.data, data.count > settings.maxEvent {
            var problem = Problem("event-too-large", status: 413)(
                "the data has \(data.count) bytes; at most \(settings.maxEvent) are taken")
            problem.violations = [
                .init(
                    pointer: "\(index.map { "/\($0)" } ?? "")/data",
                    expected: "expected at most \(settings.maxEvent) bytes")
            ]
            throw problem
        }
        let draft = event.draft
        let acceptsUndeclared = settings.acceptsUndeclared ?? declared.isEmpty
        try declared.check(event, draft, acceptsUndeclared: acceptsUndeclared, index: index)
        return draft
    }

    /// Appends what the log does not hold yet: a batch that overlaps with one sent before is no error.
    private func append(_ drafts: [EventDraft]) async throws -> (Appended?, duplicates: Int) {
        var seen: Set<UniqueID> = []
        var missing = drafts.filter { seen.insert($0.id).inserted }
        while !missing.isEmpty {
            do {
                let appended = try await log.publish(missing)
                return (appended, drafts.count - (appended.wasDuplicate ? 0 : missing.count))
            } catch let error as LogError where error.code == .versionConflict {
                let before = missing.count
                var kept: [EventDraft] = []
                for draft in missing where try await log.event(id: draft.id) == nil { kept.append(draft) }
                missing = kept
                // Nothing of it is there: then it is not for that reason.
                if missing.count == before { throw error }
            }
        }
        return (nil, drafts.count)
    }
}
