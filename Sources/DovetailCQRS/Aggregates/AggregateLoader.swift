import DovetailContracts
import DovetailCore
import DovetailEvents
import Logging

/// An aggregate's instance as the log has it.
struct LoadedAggregate<State: Wire>: Sendable {
    var state: State
    var version: Int64
    /// The version of the snapshot that it was made from; 0 if there was none.
    var snapshot: Int64
}

/// Makes the states of a kind of aggregate from the log: a snapshot, if there is one of today's shape, and the events after it.
struct AggregateLoader<State: Wire>: Sendable {
    let aggregate: Aggregate<State>
    let log: any EventLog
    let snapshots: SnapshotStore

    /// How many events are read at once.
    private static var page: Int { 1000 }

    /// The state of a stream. With `checking`, a stream without an event is looked at once more: whether it had some that were truncated.
    func load(_ stream: String, asOf moment: AsOf = .now, checking: Bool) async throws -> LoadedAggregate<State> {
        var loaded = try await begin(stream, moment)
        while true {
            let events = try await log.stream(stream, after: loaded.version, limit: Self.page)
            for event in events {
                guard moment.includes(event) else {
                    let next = event.stream?.version ?? 0
                    guard next == loaded.version + 1 else {
                        throw TruncatedStreamError(stream: stream, version: loaded.version, truncated: next - 1)
                    }
                    return loaded
                }
                loaded.version = try aggregate.apply(event, to: &loaded.state, at: loaded.version)
            }
            if events.count < Self.page { break }
        }
        if checking, let status = try await log.streamStatus(stream), status.truncated > loaded.version {
            throw TruncatedStreamError(stream: stream, version: loaded.version, truncated: status.truncated)
        }
        return loaded
    }

    private func begin(_ stream: String, _ moment: AsOf) async throws -> LoadedAggregate<State> {
        let fresh = LoadedAggregate(state: aggregate.initial, version: 0, snapshot: 0)
        guard aggregate.snapshots != nil, let record = try await snapshots.record(stream),
            record.fingerprint == aggregate.fingerprint, moment.includes(record)
        else { return fresh }
        do {
            let state = try JSON.decode(State.self, from: record.state)
            return LoadedAggregate(state: state, version: record.version, snapshot: record.version)
        } catch {
            // It is no more than a shortcut.
            Logger(label: "dovetail.cqrs").warning(
                "a snapshot cannot be read; the state is made from the events",
                metadata: ["stream": "\(stream)", "error": "\(error)"])
            return fresh
        }
    }

    /// Keeps a snapshot; one that cannot be kept is told in the log of the process, and is taken again later.
    func save(_ state: State, _ stream: String, version: Int64) async {
        do { try await keep(state, stream, version: version) } catch {
            Logger(label: "dovetail.cqrs").warning(
                "a snapshot could not be kept", metadata: ["stream": "\(stream)", "error": "\(error)"])
        }
    }

    /// Keeps a snapshot. Durable when it returns.
    func keep(_ state: State, _ stream: String, version: Int64) async throws {
        try await snapshots.save(
            stream, version: version, fingerprint: aggregate.fingerprint, state: try JSON.encode(state))
    }
}
