import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailPrivacy
import Foundation

/// A test of an aggregate's decisions: given what has happened, when something is asked for, then this follows.
///
/// Nothing runs but the aggregate's own functions. All events are encoded and decoded as a log would, so a payload that does not survive that is found
/// here. What is not as expected is thrown as a ``ScenarioFailure``, so that any test library reports it.
///
///     try Scenario(Account.aggregate)
///         .given(Account.moved(.init(id: "a", amount: 10)))
///         .when { try $0.move(-4) }
///         .then(Account.moved(.init(id: "a", amount: -4)))
public struct Scenario<State: Wire>: Sendable {
    private enum Given: Sendable {
        case event(NewEvent)
        case stored(name: String, version: Int, json: String)
    }

    private let aggregate: Aggregate<State>
    private var given: [Given] = []

    /// A scenario of an instance to which nothing has happened yet.
    public init(_ aggregate: Aggregate<State>) {
        self.aggregate = aggregate
    }

    /// The scenario in which these events have happened, after those given before.
    public func given(_ events: NewEvent...) -> Scenario {
        var copy = self
        copy.given += events.map(Given.event)
        return copy
    }

    /// The scenario in which an event has happened as it was stored once, to see that today's code still reads it.
    public func given(stored name: String, version: Int, _ json: String) -> Scenario {
        var copy = self
        copy.given.append(.stored(name: name, version: version, json: json))
        return copy
    }

    /// Takes a decision on the state that the given events add up to. Throws what keeps that state from being made.
    public func when(_ decide: (State) throws -> [NewEvent]) throws -> ScenarioOutcome<State> {
        // Personal data is sealed and opened as in a log, with keys that nobody keeps.
        let vault = try PersonalData.vault ?? KeyRing(MemoryKeyStore())
        return try PersonalData.$vault.withValue(vault) { try outcome(of: decide) }
    }

    private func outcome(of decide: (State) throws -> [NewEvent]) throws -> ScenarioOutcome<State> {
        var state = aggregate.initial
        var version: Int64 = 0
        for given in given { version = try apply(given, to: &state, at: version) }
        do {
            let events = try decide(state)
            var next = state
            for event in events {
                var decided = next
                try aggregate.apply(event, to: &decided)
                version = try apply(.event(event), to: &next, at: version)
            }
            return ScenarioOutcome(state: next, result: .success(events))
        } catch let error as AggregateError {
            throw error
        } catch {
            return ScenarioOutcome(state: state, result: .failure(error))
        }
    }

    private func apply(_ given: Given, to state: inout State, at version: Int64) throws -> Int64 {
        let draft =
            switch given {
            case .event(let event): try EventDraft(event, source: "scenario", context: nil)
            case .stored(let name, let version, let json):
                EventDraft(type: name, version: version, key: "", source: "scenario", data: Array(json.utf8))
            }
        let event = StoredEvent(
            position: LogPosition(log: UniqueID(high: 0, low: 0), epoch: 1, number: version + 1),
            stream: (aggregate.stream("scenario"), version + 1), time: Date(timeIntervalSince1970: 0), draft: draft)
        return try aggregate.apply(event, to: &state, at: version)
    }
}

/// What a decision of a ``Scenario`` led to.
public struct ScenarioOutcome<State: Wire>: Sendable {
    /// The state after it.
    public let state: State
    /// The events that were decided, or why it was refused.
    public let result: Result<[NewEvent], any Error>

    /// Expects these events and no others, in this order: name, version, key and payload.
    @discardableResult
    public func then(_ expected: NewEvent...) throws -> ScenarioOutcome {
        let found: [NewEvent]
        do { found = try result.get() } catch {
            throw ScenarioFailure("expected \(try described(expected)), and it was refused: \(error)")
        }
        let (one, other) = (try described(found), try described(expected))
        guard one == other else { throw ScenarioFailure("expected \(other), found \(one)") }
        return self
    }

    /// Expects that nothing happens.
    @discardableResult
    public func thenNothing() throws -> ScenarioOutcome {
        try then()
    }

    /// Expects to be refused with this error.
    @discardableResult
    public func thenRefused<Refusal: Error & Equatable>(_ expected: Refusal) throws -> ScenarioOutcome {
        switch result {
        case .success(let events):
            throw ScenarioFailure("expected to be refused with \(expected), and found \(try described(events))")
        case .failure(let error):
            guard let refusal = error as? Refusal, refusal == expected else {
                throw ScenarioFailure("expected to be refused with \(expected), and was refused with \(error)")
            }
        }
        return self
    }

    /// Expects the state after the decision to be what `check` says of it.
    @discardableResult
    public func thenState(_ what: String = "the state", _ check: (State) -> Bool) throws -> ScenarioOutcome {
        guard check(state) else { throw ScenarioFailure("\(what) is not as expected: \(state)") }
        return self
    }

    private func described(_ events: [NewEvent]) throws -> String {
        if events.isEmpty { return "no events" }
        return try events.map { event in
            let value = try JSON.decode(JSONValue.self, from: JSON.encode(event.payload, personal: .described))
            let payload = String(decoding: try JSON.encode(value.sorted), as: UTF8.self)
            return "\(event.name) v\(event.version) of '\(event.key)': \(payload)"
        }.joined(separator: "; ")
    }
}

extension JSONValue {
    /// The same with the members of its objects in the order of their names: a dictionary has none.
    fileprivate var sorted: JSONValue {
        switch self {
        case .object(let members):
            .object(members.sorted { $0.name < $1.name }.map { .init($0.name, $0.value.sorted) })
        case .array(let elements): .array(elements.map(\.sorted))
        default: self
        }
    }
}

/// What in a ``Scenario`` is not as expected.
public struct ScenarioFailure: Error, CustomStringConvertible {
    /// What was expected, and what happened.
    public let description: String

    init(_ description: String) { self.description = description }
}
