import DovetailContracts
import DovetailCore
import DovetailEvents
import Foundation
import Logging

/// An aggregate's instance as the log has it.
struct LoadedAggregate<State: Wire>: Sendable {
    var state: State
    var version: Int64
    /// When the log committed the last event that it is made of; nil if it had none.
    var time: Date?
    /// The version of the snapshot that it was made from; 0 if there was none.
    var snapshot: Int64
}

/// Makes the states of a kind of aggregate from the log: a snapshot, if there is one of today's shape, and the events after it.
struct AggregateLoader<State: Wire>: Sendable {
    let aggregate: Aggregate<State>
    let log: any EventLog
    let snapshots: SnapshotStore

    /// How many events are read at once.
    private static var page: Int { 250 }

    /// What one look at the log shows: the snapshot, if it counts, and the first events after it.
    private struct Beginning: Sendable {
        var record: SnapshotStore.Record?
        var events: [StoredEvent]
        var status: StreamStatus?
    }

    /// The state of a stream. With `checking`, the stream is looked at once more: whether it had events that were truncated, or was deleted for good.
    ///
    /// Throws ``LogError`` `streamTombstoned` in place of what is missing of a stream that was deleted for good.
    func load(_ stream: String, asOf moment: AsOf = .now, checking: Bool) async throws -> LoadedAggregate<State> {
        do { return try await make(stream, asOf: moment, checking: checking) } catch let error as TruncatedStreamError {
            guard let date = try await log.streamStatus(stream)?.tombstonedAt else { throw error }
            throw LogError.streamTombstoned(stream, at: date)
        }
    }

    private func make(_ stream: String, asOf moment: AsOf, checking: Bool) async throws -> LoadedAggregate<State> {
        var beginning = try await begin(stream, moment, withSnapshot: aggregate.snapshots != nil, checking)
        if checking, let date = beginning.status?.tombstonedAt { throw LogError.streamTombstoned(stream, at: date) }
        var loaded = LoadedAggregate(state: aggregate.initial, version: 0, time: nil, snapshot: 0)
        if let record = beginning.record {
            do {
                let state = try JSON.decode(State.self, from: record.state)
                loaded = LoadedAggregate(
                    state: state, version: record.version, time: record.time, snapshot: record.version)
            } catch {
                // It is no more than a shortcut.
                Logger(label: "dovetail.cqrs").warning(
                    "a snapshot cannot be read; the state is made from the events",
                    metadata: ["stream": "\(stream)", "error": "\(error)"])
                beginning = try await begin(stream, moment, withSnapshot: false, checking)
            }
        }
        var events = beginning.events
        while let last = events.last?.stream?.version {
            // The next events are read while these are applied.
            let isFull = events.count == Self.page
            async let ahead = isFull ? log.stream(stream, after: last, limit: Self.page) : []
            for event in events {
                guard moment.includes(event) else {
                    let next = event.stream?.version ?? 0
                    guard next == loaded.version + 1 else {
                        throw TruncatedStreamError(stream: stream, version: loaded.version, truncated: next - 1)
                    }
                    return loaded
                }
                loaded.version = try aggregate.apply(event, to: &loaded.state, at: loaded.version)
                loaded.time = event.time
            }
            events = try await ahead
        }
        if let status = beginning.status, status.truncated > loaded.version {
            throw TruncatedStreamError(stream: stream, version: loaded.version, truncated: status.truncated)
        }
        return loaded
    }

    private func begin(
        _ stream: String, _ moment: AsOf, withSnapshot: Bool, _ checking: Bool
    ) async throws -> Beginning {
        if !withSnapshot {
            let events = try await log.stream(stream, after: 0, limit: Self.page)
            return Beginning(record: nil, events: events, status: checking ? try await log.streamStatus(stream) : nil)
        }
        try await snapshots.prepare()
        let fingerprint = aggregate.fingerprint
        return try await log.snapshot { snapshot in
            var record = try SnapshotStore.record(stream, in: snapshot)
            if let found = record, found.fingerprint != fingerprint || !moment.includes(found) { record = nil }
            let events = try snapshot.stream(stream, after: record?.version ?? 0, limit: Self.page)
            return Beginning(
                record: record, events: events, status: checking ? try snapshot.streamStatus(stream) : nil)
        }
    }

    /// Keeps a snapshot; one that cannot be kept is told in the log of the process, and is taken again later.
    func save(_ state: State, _ stream: String, version: Int64, time: Date) async {
        do { try await keep(state, stream, version: version, time: time) } catch let error as PersonalDataError
            where error.code == .subjectForgotten
        {
            // The state is of before: the next one is taken without what is forgotten.
        } catch {
            Logger(label: "dovetail.cqrs").warning(
                "a snapshot could not be kept", metadata: ["stream": "\(stream)", "error": "\(error)"])
        }
    }

    /// Keeps a snapshot of a state, whose last event the log committed at `time`. Durable when it returns.
    func keep(_ state: State, _ stream: String, version: Int64, time: Date) async throws {
        try await snapshots.save(
            stream, version: version, time: time, fingerprint: aggregate.fingerprint, state: try JSON.encode(state))
    }
}
