import DovetailContracts
import DovetailCore
import DovetailEvents

extension CommandExecutor {
    /// Carries out a command on two instances in one transaction: what follows happens to both, or to neither.
    ///
    /// For what nobody may ever see half done, as money that goes from one account to another; what may take its time, or has more to do with, is a saga. `decide` gets both states, as the log has them, and
    /// returns the events of each; it is pure, and called again when another writer comes first, so it costs more than two commands where many want the same instances. Keys, inputs, errors
    /// and durability are as in ``execute(_:_:key:expected:source:context:_:)``; the outcome's version is that of the stream with the last event. Throws ``SameInstanceError`` where both are one.
    @discardableResult
    public func execute<First, Second>(
        _ first: Aggregate<First>, _ firstID: String, _ second: Aggregate<Second>, _ secondID: String,
        key: CommandKey? = nil, source: String, context: CallContext?,
        _ decide: @Sendable (First, Second) throws -> (first: [NewEvent], second: [NewEvent])
    ) async throws -> CommandOutcome {
        let streams = [first.stream(firstID), second.stream(secondID)]
        guard streams[0] != streams[1] else { throw SameInstanceError(stream: streams[0]) }
        guard let key else {
            return try await carryOut(first, second, streams, nil, source, context, decide)
        }
        return try await keys.withTurn(key.name) {
            try await carryOut(first, second, streams, key, source, context, decide)
        }
    }

    private func carryOut<First, Second>(
        _ first: Aggregate<First>, _ second: Aggregate<Second>, _ streams: [String], _ key: CommandKey?,
        _ source: String, _ context: CallContext?,
        _ decide: @Sendable (First, Second) throws -> (first: [NewEvent], second: [NewEvent])
    ) async throws -> CommandOutcome {
        var conflicts = 0
        while true {
            if let key, let known = try await memory.outcome(of: key, on: Set(streams)) { return known }
            do {
                let outcome = try await attempt(first, second, streams, key, source, context, decide)
                // Who has either of them in memory has not seen this.
                for stream in streams { dropState(of: stream) }
                if let outcome { return outcome }
            } catch let error as LogError where error.code == .versionConflict && conflicts < 100 {
                conflicts += 1
            } catch let error as LogError where error.code == .overloaded {
                try await Task.sleep(for: .milliseconds(2))
            }
        }
    }

    /// Decides on what the log holds now; nil if the log has the events already.
    private func attempt<First, Second>(
        _ first: Aggregate<First>, _ second: Aggregate<Second>, _ streams: [String], _ key: CommandKey?,
        _ source: String, _ context: CallContext?,
        _ decide: @Sendable (First, Second) throws -> (first: [NewEvent], second: [NewEvent])
    ) async throws -> CommandOutcome? {
        async let one = loader(first).load(streams[0], checking: true)
        async let other = loader(second).load(streams[1], checking: true)
        var (mine, yours) = (try await one, try await other)
        let decision = Result { try decide(mine.state, yours.state) }
        let (events, more) = (try? decision.get()) ?? ([], [])
        // What cannot be applied is not written.
        for event in events { try first.apply(event, to: &mine.state) }
        for event in more { try second.apply(event, to: &yours.state) }
        let drafts = try (events + more).enumerated().map { index, event in
            var draft = try EventDraft(event, id: key?.eventID(index) ?? .v7(), source: source, context: context)
            if index == 0 { key?.note(in: &draft.attributes) }
            return draft
        }
        // Also one that changes nothing, or is refused, asks whether it was taken on what the log holds.
        let appends = [
            Append(stream: streams[0], expected: .exactly(mine.version), events: Array(drafts[..<events.count])),
            Append(stream: streams[1], expected: .exactly(yours.version), events: Array(drafts[events.count...])),
        ]
        let appended = try await append(appends, of: [first.category, second.category], source)
        _ = try decision.get()
        if appended.wasDuplicate, !drafts.isEmpty { return nil }
        let outcome = CommandOutcome(
            position: appended.position, version: appended.streamVersions[more.isEmpty ? 0 : 1], wasDuplicate: false)
        if let key, drafts.isEmpty { try await memory.remember(key, on: streams[0], outcome) }
        return outcome
    }

    /// Appends to both streams, with the effects of the read models that change with either.
    private func append(_ appends: [Append], of categories: [String], _ source: String) async throws -> Appended {
        let effects = categories.map(effect)
        guard effects.contains(where: { $0 != nil }) else { return try await log.append(appends) }
        return try await log.transaction(source, as: .module) { transaction in
            var both = try appends[0].make(with: effects[0] ?? { _, _ in }, in: transaction)
            let second = try appends[1].make(with: effects[1] ?? { _, _ in }, in: transaction)
            both.streamVersions += second.streamVersions
            if !appends[1].events.isEmpty { both.position = second.position }
            both.wasDuplicate = both.wasDuplicate && second.wasDuplicate
            return both
        }
    }
}

/// A command on two instances that are one and the same.
public struct SameInstanceError: ClassifiedFailure, Hashable, CustomStringConvertible {
    /// The stream.
    public var stream: String

    public var failureKind: FailureKind { .permanent }

    public var description: String {
        "a command on two instances was given '\(stream)' twice; refuse what has the same on both sides, or use the command on one"
    }
}
