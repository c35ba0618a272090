import DovetailCore

/// How long published events of some topics are kept. Events of streams are kept until their stream is truncated, whatever their topic.
public struct RetentionRule: Sendable, Hashable {
    /// Topics of which no rule lets anything go: that somebody is forgotten is what has an old file of keys forget.
    package static let exceptions: Set<String> = ["dovetail.privacy.subject-forgotten"]

    /// The topics that it is about.
    public var topics: [TopicPattern]
    /// How long after their commit they are kept; nil: age does not matter.
    public var age: Duration?
    /// How many bytes of payloads and attributes of these topics are kept, the newest; nil: size does not matter.
    public var bytes: Int?
    /// Of how many last numbers of the log they are kept; nil: the number does not matter.
    public var positions: Int64?

    /// A rule; an event goes when any of its bounds says so.
    public init(topics: [TopicPattern], age: Duration? = nil, bytes: Int? = nil, positions: Int64? = nil) {
        self.topics = topics
        self.age = age
        self.bytes = bytes
        self.positions = positions
    }
}

/// Somebody who has not done with events after a number: nothing of theirs is reclaimed.
public struct RetentionHold: Sendable, Hashable {
    /// Who.
    public var name: String
    /// The number up to which it needs nothing any more.
    public var done: Int64

    /// A hold.
    public init(name: String, done: Int64) {
        self.name = name
        self.done = done
    }
}

/// What a step of reclaiming has done.
public struct Reclaimed: Sendable, Hashable {
    /// How many events were removed.
    public var count: Int
    /// Every event up to this number was looked at.
    public var scanned: Int64

    /// A step's outcome.
    public init(count: Int, scanned: Int64) {
        self.count = count
        self.scanned = scanned
    }
}
