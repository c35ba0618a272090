import Synchronization

/// What publishers and handlers did, as each saw it, and what that says of whatever is between them.
///
/// Events are numbered for each key, from 1, in the order of their publishing. The check is a pure function of what was recorded, after Jepsen's checkers of
/// queues: it knows nothing of how anything was done.
public final class DeliveryHistory: Sendable {
    /// An event: the how-manieth of its key.
    public struct Event: Hashable, Sendable, Comparable, CustomStringConvertible {
        /// What orders it.
        public var key: String
        /// Its number among those of its key, from 1.
        public var number: Int

        /// An event.
        public init(_ key: String, _ number: Int) {
            self.key = key
            self.number = number
        }

        public static func < (left: Event, right: Event) -> Bool { (left.key, left.number) < (right.key, right.number) }
        public var description: String { "\(key)#\(number)" }
    }

    /// Something that must not be.
    public enum Finding: Hashable, Sendable, CustomStringConvertible {
        /// It was acknowledged and never came.
        case lost(Event)
        /// It came and was never published.
        case unexpected(Event)
        /// It came again, where that must not be.
        case duplicated(Event)
        /// It came for the first time after one that follows it.
        case outOfOrder(Event, after: Event)
        /// It came though the one before it, which came later or was acknowledged, had not.
        case skipped(Event, before: Event)

        public var description: String {
            switch self {
            case .lost(let event): "\(event) was acknowledged and never came"
            case .unexpected(let event): "\(event) came and was never published"
            case .duplicated(let event): "\(event) came more than once"
            case .outOfOrder(let event, let other): "\(event) came for the first time after \(other)"
            case .skipped(let event, let other): "\(event) had not come when \(other) did"
            }
        }
    }

    /// What a delivery may be.
    public struct Expectation: Sendable {
        /// Whether an event may come more than once.
        public var mayRepeat: Bool
        /// Whether an event that was acknowledged may never come.
        public var mayLose: Bool
        /// Whether events of one key come in order.
        public var isOrdered: Bool

        /// What is expected.
        public init(mayRepeat: Bool, mayLose: Bool, isOrdered: Bool) {
            self.mayRepeat = mayRepeat
            self.mayLose = mayLose
            self.isOrdered = isOrdered
        }

        /// Everything, in order of the key, perhaps more than once.
        public static let atLeastOnce = Expectation(mayRepeat: true, mayLose: false, isOrdered: true)
        /// Everything, in order, once.
        public static let effectivelyOnce = Expectation(mayRepeat: false, mayLose: false, isOrdered: true)
        /// Nothing twice.
        public static let atMostOnce = Expectation(mayRepeat: false, mayLose: true, isOrdered: true)
    }

    private struct Record {
        var attempted: Set<Event> = []
        var acknowledged: Set<Event> = []
        var delivered: [Event] = []
    }

    private let record = Mutex(Record())

    /// An empty history.
    public init() {}

    /// An event is about to be published: from now on it may come.
    public func attempting(_ event: Event) { record.withLock { _ = $0.attempted.insert(event) } }

    /// The publisher was told that the event is there.
    public func acknowledged(_ event: Event) { record.withLock { _ = $0.acknowledged.insert(event) } }

    /// A handler has the event before it, or its effect was made: what the guarantee counts.
    public func delivered(_ event: Event) { record.withLock { $0.delivered.append(event) } }

    /// How many deliveries there were.
    public var deliveries: Int { record.withLock { $0.delivered.count } }
    /// How many different events came.
    public var distinct: Int { record.withLock { Set($0.delivered).count } }
    /// How many were acknowledged.
    public var acknowledgements: Int { record.withLock { $0.acknowledged.count } }

    /// What must not be, in no particular order; empty if all is as expected.
    public func findings(_ expectation: Expectation) -> [Finding] {
        let record = record.withLock { $0 }
        var findings: [Finding] = []
        let came = Set(record.delivered)
        if !expectation.mayLose { findings += record.acknowledged.subtracting(came).map { .lost($0) } }
        findings += came.subtracting(record.attempted).map { .unexpected($0) }
        if !expectation.mayRepeat {
            var seen: Set<Event> = []
            findings += Set(record.delivered.filter { !seen.insert($0).inserted }).map { .duplicated($0) }
        }
        guard expectation.isOrdered else { return findings }
        var last: [String: Event] = [:]
        var seen: Set<Event> = []
        for event in record.delivered where seen.insert(event).inserted {
            let before = last[event.key]
            if let before, event.number < before.number {
                findings.append(.outOfOrder(event, after: before))
                continue
            }
            if !expectation.mayLose {
                for number in stride(from: (before?.number ?? 0) + 1, to: event.number, by: 1) {
                    findings.append(.skipped(Event(event.key, number), before: event))
                }
            }
            last[event.key] = event
        }
        return findings
    }
}
