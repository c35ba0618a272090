import DovetailContracts
import DovetailEvents
import DovetailModules

extension ModuleBuilder<AdminAPI> {
    /// What an operator may ask about streams, and do with them.
    mutating func handleStreams(of node: Node) {
        let log = node.store.log
        handle(\.stream) { query, _ in .init(try await log.known(query.stream)) }
        handle(\.streamEvents) { query, _ in
            _ = try await log.known(query.stream)
            let events = try await log.stream(query.stream, before: query.before ?? .max, limit: query.limit ?? 20)
            return .init(events: events.map { AdminAPI.EventLine($0) })
        }
        handle(\.deleteStream) { query, _ in
            try await told {
                let status = try await log.known(query.stream)
                try await log.delete(query.stream)
                try await log.record(
                    Intervention(
                        action: "deleted", subscription: query.stream, detail: "at version \(status.version)"))
            }
        }
        handle(\.tombstoneStream) { query, _ in
            try await toldResult {
                let before = try await log.known(query.stream)
                let status = try await log.tombstone(query.stream, holds: try await node.holds())
                node.commands.dropState(of: query.stream)
                if before.tombstonedAt == nil {
                    try await log.record(
                        Intervention(
                            action: "tombstoned", subscription: query.stream, detail: "at version \(status.version)"))
                }
                return .init(status)
            }
        }
        handle(\.restoreStream) { query, _ in
            try await told {
                _ = try await log.known(query.stream)
                try await log.restore(query.stream)
                try await log.record(Intervention(action: "restored", subscription: query.stream))
            }
        }
        handle(\.streamMetadata) { query, _ in
            let (metadata, version) = try await log.metadata(of: query.stream)
            return .init(stream: query.stream, version: version, metadata: metadata)
        }
        handle(\.setStreamMetadata) { query, _ in
            try await toldResult {
                var (metadata, version) = try await log.metadata(of: query.stream)
                if let maxCount = query.maxCount { metadata.maxCount = maxCount == 0 ? nil : maxCount }
                if let maxAge = query.maxAge { metadata.maxAge = maxAge == 0 ? nil : maxAge }
                for (name, value) in query.values ?? [:] { metadata.values[name] = value.isEmpty ? nil : value }
                // What is left out was looked at: nobody may change it in between.
                version = try await log.setMetadata(
                    metadata, of: query.stream, expected: .exactly(query.expected ?? version))
                try await log.record(
                    Intervention(
                        action: "metadata", subscription: query.stream, detail: "version \(version)"))
                return .init(stream: query.stream, version: version, metadata: metadata)
            }
        }
        handle(\.truncateStream) { query, _ in
            try await toldResult {
                _ = try await log.known(query.stream)
                let status = try await log.truncate(
                    query.stream, through: query.through, holds: try await node.holds())
                try await log.record(
                    Intervention(
                        action: "truncated", subscription: query.stream, detail: "through version \(query.through)"))
                return .init(status)
            }
        }
    }
}

extension EventLog {
    /// Where a stream stands. Throws ``AdminAPI/unknown`` if there is none of that name.
    fileprivate func known(_ stream: String) async throws -> StreamStatus {
        guard let status = try await streamStatus(stream) else {
            throw AdminAPI.unknown("there is no stream '\(stream)' in this node's log")
        }
        return status
    }
}

extension AdminAPI.StreamLine {
    fileprivate init(_ status: StreamStatus) {
        self.init(
            stream: status.name, version: status.version, truncated: status.truncated, deletedAt: status.deletedAt,
            tombstonedAt: status.tombstonedAt)
    }
}
