import DovetailCore

/// Theoretical arrival times by key, in bounded memory: one shard of a ``RateLimiter``.
///
/// A key lives in one of the `reach` slots that follow its home slot. A slot whose arrival time has passed is as good
/// as an empty one, because its key has its whole burst again: nothing ever needs to be swept. When all slots in reach
/// belong to live keys the table doubles, and at its full size forgets the one with the least used up.
struct RateLimitTable {
    private struct Slot {
        var key: UInt64
        var arrival: Int64
    }

    private static let reach = 16

    private var slots: [Slot]
    private var mask: Int
    private let maximumMask: Int
    private(set) var forgotten = 0

    /// A table that grows to hold about `maximumKeys` live keys.
    init(maximumKeys: Int) {
        maximumMask = max(RateLimitTable.roundedUp(maximumKeys) * 2, RateLimitTable.reach) - 1
        mask = RateLimitTable.reach - 1
        slots = RateLimitTable.empty(mask)
    }

    /// Lets `body` work on the key's arrival time.
    @inline(__always)
    mutating func withArrival<R>(of key: UInt64, at now: Int64, _ body: (inout Int64) -> R) -> R {
        // Zero marks a slot that was never used.
        let key = key == 0 ? 1 : key
        let index = slot(of: key, at: now)
        if slots[index].key != key { slots[index] = Slot(key: key, arrival: .min) }
        return body(&slots[index].arrival)
    }

    /// The key's own slot, or else the one it may take over.
    private mutating func slot(of key: UInt64, at now: Int64) -> Int {
        while true {
            let home = Int(truncatingIfNeeded: key) & mask
            var free: Int?
            var leastUsed = home
            for index in home..<home + RateLimitTable.reach {
                let slot = slots[index]
                if slot.key == key { return index }
                if slot.key == 0 { return free ?? index }
                if slot.arrival <= now {
                    free = free ?? index
                } else if slot.arrival < slots[leastUsed].arrival {
                    leastUsed = index
                }
            }
            if let free { return free }
            guard mask < maximumMask else {
                forgotten += 1
                return leastUsed
            }
            grow(at: now)
        }
    }

    /// Doubles the table until everything live is in reach of its home, or the table has its full size.
    private mutating func grow(at now: Int64) {
        // The most used first, so that what finds no room has used least.
        let live = slots.filter { $0.key != 0 && $0.arrival > now }.sorted { $0.arrival > $1.arrival }
        var homeless: [Slot] = []
        repeat {
            mask = mask * 2 + 1
            slots = RateLimitTable.empty(mask)
            homeless = live.filter { !place($0) }
        } while !homeless.isEmpty && mask < maximumMask
        forgotten += homeless.count
    }

    private mutating func place(_ slot: Slot) -> Bool {
        let home = Int(truncatingIfNeeded: slot.key) & mask
        for index in home..<home + RateLimitTable.reach where slots[index].key == 0 {
            slots[index] = slot
            return true
        }
        return false
    }

    /// The last homes reach past the mask, so that no index wraps.
    private static func empty(_ mask: Int) -> [Slot] {
        Array(repeating: Slot(key: 0, arrival: .min), count: mask + reach)
    }

    private static func roundedUp(_ number: Int) -> Int {
        var power = 1
        while power < number, power < 1 << 40 { power *= 2 }
        return power
    }
}
