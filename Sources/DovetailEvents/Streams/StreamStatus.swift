import Foundation

/// What becomes of a stream with an append.
public enum StreamChange: Sendable, Hashable {
    /// It takes no more events. Those it has stay, until they are truncated.
    case delete
    /// It takes events again, after a deletion.
    case restore
    /// It takes no more events ever, and those it has go as soon as nobody needs them: see ``EventLog/tombstone(_:expected:holds:)``.
    case tombstone
}

/// Where a stream stands.
public struct StreamStatus: Sendable, Hashable {
    /// The stream's name.
    public var name: String
    /// The version it has reached: how many events it has ever had.
    public var version: Int64
    /// Events up to this version were truncated; 0 if none were.
    public var truncated: Int64
    /// When it was deleted; nil if it takes events.
    public var deletedAt: Date?
    /// Since when it is deleted for good; nil if it takes events, or may again.
    public var tombstonedAt: Date?

    /// Where a stream stands.
    public init(name: String, version: Int64, truncated: Int64, deletedAt: Date?, tombstonedAt: Date? = nil) {
        self.name = name
        self.version = version
        self.truncated = truncated
        self.deletedAt = deletedAt
        self.tombstonedAt = tombstonedAt
    }
}
