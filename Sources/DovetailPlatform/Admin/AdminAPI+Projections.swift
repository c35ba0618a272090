import DovetailContracts
import DovetailCore
import Foundation

/// What an operator says, and is told, of read models and of what is stored.
extension AdminAPI {
    /// A read model.
    public struct ByProjection: Wire {
        /// Its module.
        public var module: String
        /// Its name.
        public var projection: String
    }

    /// A read model that is to be built again.
    public struct RebuildProjection: Wire {
        /// Its module.
        public var module: String
        /// Its name.
        public var projection: String
        /// Whether the new build answers queries by itself once it has caught up.
        public var switching: Bool?
    }

    /// A build that is to be dropped.
    public struct DropProjection: Wire {
        /// The read model's module.
        public var module: String
        /// Its name.
        public var projection: String
        /// The build's number.
        public var build: Int
    }

    /// Builds of read models.
    public struct ProjectionList: Wire {
        /// A build.
        public struct Build: Wire {
            /// The module.
            public var module: String
            /// The read model.
            public var projection: String
            /// The build's number.
            public var build: Int
            /// The version of the read model that makes it.
            public var version: Int
            /// What it is for: `active`, `building` or `previous`.
            public var state: String
            /// Every event up to this number has had its effect.
            public var scanned: Int64
            /// How many events it is behind the log.
            public var lag: Int64
            /// Whether the program keeps it up to date.
            public var isFollowed: Bool
            /// How many events were put aside because they cannot be decoded.
            public var parked: Int
            /// What holds it up.
            public var blocked: String?
            /// When it was begun.
            public var startedAt: Date
        }

        /// The builds.
        public var builds: [Build]
    }

    /// How far a look at what is stored is.
    public struct StoredCheckProgress: Wire {
        /// What a part of the program cannot read.
        public struct Finding: Wire {
            /// The events' topic.
            public var type: String
            /// The version they are stored in.
            public var version: Int
            /// Which part of the program.
            public var part: String
            /// How many there are.
            public var count: Int
            /// The number of the first.
            public var first: Int64
            /// Why the first cannot be read, and what to write.
            public var reason: String
        }

        /// The number reached, and the last one.
        public var number, head: Int64
        /// How many events were looked at, once it is done.
        public var events: Int?
        /// What cannot be read, once it is done.
        public var findings: [Finding]?
        /// How many events there are of topics that nothing reads, once it is done.
        public var unread: [String: Int]?
        /// Why it broke off.
        public var failure: String?
    }
}
