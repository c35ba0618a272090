import DovetailCore
import Foundation

/// How far an instance is: the tasks that it is at, and what it has done that may have to be undone.
public struct SagaProgress: Sendable, Codable, Equatable {
    /// The tasks under way: one forward, one in each branch, or one backward.
    public var tasks: [SagaTask] = []
    /// The steps that were done and can be undone, in the order in which they ended.
    public var done: [String] = []
    /// The numbers of the messages that its waits have taken.
    public var taken: [Int64] = []
    /// The resources that it has locked, or waits for.
    public var locks: [SagaLock] = []

    /// Nothing yet.
    public init() {}

    private enum CodingKeys: String, CodingKey { case tasks, done, taken, locks }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        tasks = try container.decodeIfPresent([SagaTask].self, forKey: .tasks) ?? []
        done = try container.decodeIfPresent([String].self, forKey: .done) ?? []
        taken = try container.decodeIfPresent([Int64].self, forKey: .taken) ?? []
        locks = try container.decodeIfPresent([SagaLock].self, forKey: .locks) ?? []
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        if !tasks.isEmpty { try container.encode(tasks, forKey: .tasks) }
        if !done.isEmpty { try container.encode(done, forKey: .done) }
        if !taken.isEmpty { try container.encode(taken, forKey: .taken) }
        if !locks.isEmpty { try container.encode(locks, forKey: .locks) }
    }

    /// When the first task is due; nil if all wait for something else.
    var dueAt: Date? { tasks.compactMap(\.dueAt).min() }

    /// Since when one of its tasks fails and is tried again; nil if none does.
    public var failingSince: Date? { tasks.compactMap(\.failingSince).min() }
}

/// One thing that an instance is at.
public struct SagaTask: Sendable, Codable, Equatable {
    /// Where it leads.
    public enum Phase: String, Sendable, Codable {
        /// A step's action, timer or wait.
        case forward
        /// A step that was under way when the saga turned back: its end is waited for.
        case draining
        /// A step's undo.
        case undo
        /// What follows when everything was undone.
        case conclude
    }

    /// The step's name; empty for ``Phase/conclude``.
    public var step: String
    /// Where it leads.
    public var phase: Phase
    /// How often it was carried out without success.
    public var attempts = 0
    /// When it first failed, if it is tried again since.
    public var failingSince: Date?
    /// Whether any of those attempts may have had an effect.
    public var inDoubt = false
    /// When it is due, or its time-out; nil if only a message or an operator moves it.
    public var dueAt: Date?
    /// What it waits for, once that is known.
    public var awaits: SagaAddress?
    /// Whether its timer is set.
    public var isArmed = false
    /// When its timer or its time-out ends, whatever ``dueAt`` says of another try; nil if it has none.
    public var until: Date?
    /// Whether it was given up on: an operator has to look.
    public var isStuck = false
    /// Why it was given up on.
    public var failure: String?

    init(_ step: String, _ phase: Phase, dueAt: Date?) {
        self.step = step
        self.phase = phase
        self.dueAt = dueAt
    }

    /// Whether a message may move it.
    var isListening: Bool { isArmed && awaits != nil && !isStuck }

    private enum CodingKeys: String, CodingKey {
        case step, phase, attempts, failing, inDoubt, due, awaits, isArmed, until, isStuck, failure
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        step = try container.decode(String.self, forKey: .step)
        phase = try container.decodeIfPresent(Phase.self, forKey: .phase) ?? .forward
        attempts = try container.decodeIfPresent(Int.self, forKey: .attempts) ?? 0
        failingSince = try container.decodeIfPresent(Int64.self, forKey: .failing).map {
            Date(timeIntervalSince1970: Double($0) / 1e6)
        }
        inDoubt = try container.decodeIfPresent(Bool.self, forKey: .inDoubt) ?? false
        dueAt = try container.decodeIfPresent(Int64.self, forKey: .due).map {
            Date(timeIntervalSince1970: Double($0) / 1e6)
        }
        awaits = try container.decodeIfPresent(SagaAddress.self, forKey: .awaits)
        isArmed = try container.decodeIfPresent(Bool.self, forKey: .isArmed) ?? false
        until = try container.decodeIfPresent(Int64.self, forKey: .until).map {
            Date(timeIntervalSince1970: Double($0) / 1e6)
        }
        isStuck = try container.decodeIfPresent(Bool.self, forKey: .isStuck) ?? false
        failure = try container.decodeIfPresent(String.self, forKey: .failure)
    }

    /// What is as usual is left out: this is written at every step.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(step, forKey: .step)
        if phase != .forward { try container.encode(phase, forKey: .phase) }
        if attempts != 0 { try container.encode(attempts, forKey: .attempts) }
        try container.encodeIfPresent(failingSince?.microsecondsSince1970, forKey: .failing)
        if inDoubt { try container.encode(true, forKey: .inDoubt) }
        try container.encodeIfPresent(dueAt?.microsecondsSince1970, forKey: .due)
        try container.encodeIfPresent(awaits, forKey: .awaits)
        if isArmed { try container.encode(true, forKey: .isArmed) }
        try container.encodeIfPresent(until?.microsecondsSince1970, forKey: .until)
        if isStuck { try container.encode(true, forKey: .isStuck) }
        try container.encodeIfPresent(failure, forKey: .failure)
    }
}

/// Where a wait is found by its message.
public struct SagaAddress: Sendable, Codable, Hashable {
    /// The event's topic; `$signal.<name>` for a signal, `$child` for the end of a child saga.
    public var topic: String
    /// The key.
    public var key: String
}
