import DovetailCore
import DovetailEvents
import SQLiteBinding
import Synchronization

/// How long a store's commits take, since it was opened.
public struct StoreTimes: Sendable {
    /// Commits of the log: writing, and making it last.
    public var commits = DurationHistogram()
    /// How many requests they had together.
    public var requests: UInt64 = 0
    /// Moving pages from the write-ahead log into the database.
    public var checkpoints = DurationHistogram()
    /// Events appended, by topic.
    public var appended: [String: UInt64] = [:]

    /// Further topics than these count as `other`.
    static let maximumTopics = 1000
}

/// A store's times, noted by its writer and read by others.
final class CommitTimes: Sendable {
    private let times = Mutex(StoreTimes())

    var value: StoreTimes { times.withLock { $0 } }

    func committed(in duration: Duration, requests: Int, appended: [String: UInt64]) {
        times.withLock { times in
            times.commits.add(duration)
            times.requests += UInt64(requests)
            for (topic, count) in appended {
                let isKnown = times.appended[topic] != nil || times.appended.count < StoreTimes.maximumTopics
                times.appended[isKnown ? topic : "other", default: 0] += count
            }
        }
    }

    func checkpointed(in duration: Duration) { times.withLock { $0.checkpoints.add(duration) } }
}

/// How long the disk takes to make a write-ahead log last (fsync), in this process since it began.
public struct SyncTimes: Sendable {
    /// The upper bounds of the buckets in seconds; the last bucket has all that took longer.
    public static let bounds = DiskWatch.bounds
    /// How many there are in each bucket; not summed up.
    public var buckets: [UInt64]
    /// All of them together, in seconds.
    public var seconds: Double

    /// The times until now.
    public static var now: SyncTimes {
        let times = DiskWatch.syncs
        return SyncTimes(buckets: times.buckets, seconds: times.seconds)
    }
}
