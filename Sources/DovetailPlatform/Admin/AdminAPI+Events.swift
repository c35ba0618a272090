import DovetailContracts
import DovetailCore
import Foundation

/// What an operator says, and is told, of events and subscriptions.
extension AdminAPI {
    /// A subscription.
    public struct BySubscription: Wire {
        /// Its name.
        public var subscription: String
    }

    /// How many at most.
    public struct Limit: Wire {
        /// At most so many; 100 unless given.
        public var limit: Int?
    }

    /// A number of the log.
    public struct Number: Wire {
        /// The number.
        public var number: Int64
    }

    /// A subscription and where to set it.
    public struct Seek: Wire {
        /// The subscription.
        public var subscription: String
        /// The number after which it goes on: 0 for the beginning; after the last event unless a number or a time is given.
        public var number: Int64?
        /// The time of the first event that it gets.
        public var time: Date?
    }

    /// An event to be published.
    public struct Publish: Wire {
        /// The topic.
        public var type: String
        /// The payload's version; 1 unless given.
        public var version: Int?
        /// The value that orders it; the id unless given.
        public var key: String?
        /// Who publishes it; `operator` unless given.
        public var source: String?
        /// Its id; a new one unless given. An id that the log has already changes nothing.
        public var id: String?
        /// The payload.
        public var data: JSONValue
        /// When it is published; at once unless given.
        public var at: Date?
    }

    /// What became of an event that was published.
    public struct Published: Wire {
        /// Its id.
        public var id: String
        /// Its place, once it is in the log.
        public var position: String?
        /// Whether the log had it already.
        public var wasDuplicate: Bool
    }

    /// Dead letters that died of the same.
    public struct DeadLetterGroups: Wire {
        /// A group.
        public struct Group: Wire {
            /// The topic.
            public var type: String
            /// Why they were given up on.
            public var reason: String
            /// The error, with `#` for numbers and ids.
            public var error: String
            /// How many there are.
            public var count: Int
            /// The number of the first.
            public var first: Int64
            /// When the last was given up on.
            public var lastDiedAt: Date
        }

        /// The groups, the largest first.
        public var groups: [Group]
    }

    /// A dead letter and its new payload.
    public struct Edit: Wire {
        /// The subscription.
        public var subscription: String
        /// The event's number.
        public var position: Int64
        /// The payload that it is tried with from now on.
        public var data: JSONValue
    }

    /// Which dead letters are to be tried again.
    public struct Redrive: Wire {
        /// The subscription.
        public var subscription: String
        /// Only of this topic.
        public var type: String?
        /// Only for this reason: `failed`, `undecodable`, `timedOut` or `crashed`.
        public var reason: String?
        /// Only those whose error has this in it.
        public var error: String?
        /// At most so many a second.
        public var rate: Double?
        /// Only counts.
        public var dryRun: Bool?
    }

    /// How far a redrive is.
    public struct RedriveProgress: Wire {
        /// How many dead letters were looked at, chosen, sent on their way, and wait behind another of their key.
        public var seen, chosen, redriven, waiting: Int
        /// Whether that was all.
        public var isDone: Bool
        /// Why it broke off.
        public var failure: String?
    }

    /// What is to be replayed.
    public struct Replay: Wire {
        /// The subscription.
        public var subscription: String
        /// The number after which it begins.
        public var after: Int64?
        /// The time of the first event, instead.
        public var from: Date?
        /// The last number; the log's last one unless given.
        public var end: Int64?
        /// At most so many a second.
        public var rate: Double?
        /// Only counts.
        public var dryRun: Bool?
    }

    /// How far a replay is.
    public struct ReplayProgress: Wire {
        /// The number reached, and the last one.
        public var number, end: Int64
        /// How many events matched, were handled, and failed.
        public var matched, handled, failed: Int
        /// The first failures, with their numbers, once it is done.
        public var failures: [String]
        /// Whether that was all.
        public var isDone: Bool
        /// Why it broke off.
        public var failure: String?
    }

    /// Events that wait for their time.
    public struct Schedule: Wire {
        /// One of them.
        public struct Entry: Wire {
            /// The id to cancel it by.
            public var id: String
            /// When it is published.
            public var due: Date
            /// The topic.
            public var type: String
            /// The value that orders it.
            public var key: String
        }

        /// The events, the next first.
        public var events: [Entry]
    }

    /// How far a look through the log is.
    public struct VerifyProgress: Wire {
        /// The number reached, and the last one.
        public var number, head: Int64
        /// How many events are there and how many were reclaimed, once it is done.
        public var events, reclaimed: Int64?
        /// What is wrong, once it is done.
        public var findings: [String]?
        /// Why it broke off.
        public var failure: String?
    }

    /// Where a backup goes.
    public struct Backup: Wire {
        /// A folder that is not there yet, by its whole path.
        public var folder: String
    }

    /// How far a backup is.
    public struct BackupProgress: Wire {
        /// What is being done.
        public var step: String
        /// From 0 to 1.
        public var done: Double
        /// The number of the last event in the backup, once it is done.
        public var head: Int64?
        /// Why it broke off.
        public var failure: String?
    }
}
