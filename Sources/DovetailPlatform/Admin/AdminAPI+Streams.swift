import DovetailContracts
import Foundation

/// What an operator says, and is told, of streams.
extension AdminAPI {
    /// A stream.
    public struct ByStream: Wire {
        /// Its name.
        public var stream: String
    }

    /// A stream whose first events are to go.
    public struct TruncateStream: Wire {
        /// Its name.
        public var stream: String
        /// The last version that goes.
        public var through: Int64
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
    }
}
