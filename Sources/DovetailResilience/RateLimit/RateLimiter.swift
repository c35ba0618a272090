import DovetailCore
import Synchronization

/// One rate limit for each of many keys, exact in this process however many threads ask.
///
/// A decision takes one short lock that is shared by a sixty-fourth of the keys, and for a known key allocates nothing:
/// it may be called from an event loop. The cost is some tens of nanoseconds.
///
/// Memory is bounded. A key that has its whole burst again is not remembered, which changes no decision. Memory grows
/// with the number of keys that are live at the same time, up to about `maximumKeys` (32 bytes each). Beyond that the
/// new key takes the place of the live key nearby that has used up least: callers at their limit stay limited while a
/// flood of new names pushes out other new names. ``forgotten`` counts this; it is zero as long as the limiter is
/// exact.
public final class RateLimiter: Sendable {
    private final class Shard: Sendable {
        let table: Mutex<RateLimitTable>

        init(maximumKeys: Int) {
            table = Mutex(RateLimitTable(maximumKeys: maximumKeys))
        }
    }

    /// The limit that each key has for itself.
    public let limit: RateLimit
    private let shards: [Shard]
    private static let shardBits = 6

    /// A limiter with no key in it.
    ///
    /// - Parameters:
    ///   - limit: The limit of each key.
    ///   - maximumKeys: How many keys may be short of their whole burst at once before some are forgotten.
    public init(_ limit: RateLimit, maximumKeys: Int = 65_536) {
        self.limit = limit
        let each = max(1, maximumKeys) >> RateLimiter.shardBits
        shards = (0..<1 << RateLimiter.shardBits).map { _ in Shard(maximumKeys: each) }
    }

    /// Decides about a call of `key` at `now`, and takes its cost up if it may pass.
    ///
    /// - Parameters:
    ///   - key: Who calls.
    ///   - cost: How many calls this one counts for. Zero only looks. A cost above the burst is never let through.
    ///   - now: The present.
    public func take(_ key: RateLimitKey, cost: Int = 1, at now: MonotonicTime) -> RateLimitDecision {
        // The top bits choose the shard, the low ones the slot in it.
        shards[Int(key.hash >> UInt64(64 - RateLimiter.shardBits))].table.withLock { table in
            table.withArrival(of: key.hash, at: now.nanoseconds) { limit.decide(&$0, cost: cost, at: now) }
        }
    }

    /// Decides about a call of the caller with this name; see ``take(_:cost:at:)-(RateLimitKey,_,_)``.
    public func take(_ key: some StringProtocol, cost: Int = 1, at now: MonotonicTime) -> RateLimitDecision {
        take(RateLimitKey(key), cost: cost, at: now)
    }

    /// How often a key that was short of its burst had to be forgotten for want of room.
    public var forgotten: Int {
        shards.reduce(0) { sum, shard in sum + shard.table.withLock { $0.forgotten } }
    }
}
