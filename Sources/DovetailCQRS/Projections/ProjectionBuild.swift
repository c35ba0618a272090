import DovetailEvents
import Foundation

/// One build of a read model: its tables, made by one version of its projection from the log.
public struct ProjectionBuild: Sendable, Hashable {
    /// What a build is for.
    public enum State: String, Sendable, Codable {
        /// Queries are answered from it.
        case active
        /// It is being built beside the active one.
        case building
        /// It was active before, and is kept for a way back.
        case previous
        /// Its tables are gone.
        case dropped
    }

    /// An event that cannot be got past.
    public struct Block: Sendable, Hashable {
        /// The event's number.
        public var position: Int64
        /// Its topic.
        public var type: String
        /// Why.
        public var error: String
        /// How often it was tried.
        public var attempts: Int
    }

    /// The projection.
    public var projection: String
    /// Its number among the projection's builds; never given again.
    public var number: Int
    /// The projection's version that makes it.
    public var version: Int
    /// What it is for.
    public var state: State
    /// When it was begun.
    public var startedAt: Date
    /// Every event up to this number has had its effect.
    public var scanned: Int64 = 0
    /// Whether the program keeps it up to date; not so if its version is no more part of the program.
    public var isFollowed = false
    /// How many events were put aside because they cannot be decoded.
    public var parked = 0
    /// What holds it up.
    public var blocked: Block?
    /// Whether it becomes the active one by itself when it has caught up.
    var switchesItself = false

    /// What it is called among all builds of its module: an active one as its projection, as in ``ReadModel/status``.
    public var label: String { state == .active ? projection : cursor }

    /// Whether it shows all that it should up to where it is, and goes on: nothing was put aside, nothing holds it up, and the program keeps it up to date.
    public var isComplete: Bool { isFollowed && parked == 0 && blocked == nil }

    /// The name of its cursor.
    var cursor: String { number == 1 ? projection : "\(projection)#\(number)" }
}
