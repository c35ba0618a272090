import DovetailContracts
import DovetailEvents
import Foundation

/// What an operator says, and is told, of streams.
extension AdminAPI {
    /// A stream.
    public struct ByStream: Wire {
        /// Its name.
        public var stream: String
    }

    /// Which events of a stream are asked for.
    public struct StreamEvents: Wire, Constrained {
        /// Its name.
        public var stream: String
        /// Those of lower versions than this; from the end unless given.
        public var before: Int64?
        /// So many at most.
        public var limit: Int?

        public static let constraints: Constraints = ["limit": .range(1...1000)]
    }

    /// Some events of a stream.
    public struct StreamPage: Wire {
        /// The newest first.
        public var events: [EventLine]
    }

    /// A stream whose first events are to go.
    public struct TruncateStream: Wire {
        /// Its name.
        public var stream: String
        /// The last version that goes.
        public var through: Int64
    }

    /// What is said of a stream.
    public struct StreamMetadataLine: Wire {
        /// Its name.
        public var stream: String
        /// How often that was changed.
        public var version: Int64
        /// What is said.
        public var metadata: StreamMetadata
    }

    /// What is to be said of a stream; what is left out stays as it is.
    public struct SetStreamMetadata: Wire {
        /// Its name.
        public var stream: String
        /// Of how many last events it is kept; 0: of all.
        public var maxCount: Int64?
        /// How many seconds events are kept; 0: for good.
        public var maxAge: Int64?
        /// What is noted, by name; an empty text takes a note away.
        public var values: [String: String]?
        /// The version that is expected; any unless given.
        public var expected: Int64?
    }

    /// Where a stream stands.
    public struct StreamLine: Wire {
        /// Its name.
        public var stream: String
        /// The version it has reached.
        public var version: Int64
        /// Events up to this version were truncated.
        public var truncated: Int64
        /// When it was deleted, if it was.
        public var deletedAt: Date?
        /// Since when it is deleted for good, if it is.
        public var tombstonedAt: Date?
    }
}
