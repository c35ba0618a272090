/// A timer that lies in a ``TimerWheel``; set and cancelled in constant time, without allocation.
final class WheelTimer {
    fileprivate var next: WheelTimer?
    fileprivate unowned(unsafe) var previous: WheelTimer?
    /// The tick in whose slot it lies; -1 for none.
    fileprivate var tick: Int64 = -1
    /// The tick at which it fires, not before the one where it lies; -1 for never.
    fileprivate var due: Int64 = -1
    /// Called on the wheel's loop when the time has come.
    var onFire: (() -> Void)?

    /// Whether it waits to fire.
    var isScheduled: Bool { due >= 0 }

    /// Calls ``onFire``, unless it was cancelled or set anew since the wheel gave it out.
    func fire() {
        guard due >= 0, tick < 0 else { return }
        due = -1
        onFire?()
    }
}

/// Coarse timers of one event loop: a hashed wheel of 10 ms ticks.
///
/// A timer fires at the first tick at or after its time, never before. NIO's own timers cancel by a linear scan, which a
/// proxy that sets one for each request cannot afford.
struct TimerWheel {
    /// Nanoseconds in a tick.
    static let tickLength: Int64 = 10_000_000
    private static let slotCount = 512

    /// Heads of the slots' lists; a head itself never fires.
    private let slots: [WheelTimer]
    private var current: Int64
    /// How many timers lie in it, with those that are disarmed.
    private(set) var count = 0

    /// A wheel whose time is `now` in nanoseconds.
    init(now: Int64) {
        slots = (0..<TimerWheel.slotCount).map { _ in WheelTimer() }
        current = now / TimerWheel.tickLength
    }

    /// Sets `timer` for `time`, in nanoseconds; a timer that was set already is moved.
    ///
    /// One that lies in an earlier slot stays there and is moved when its turn comes: a connection that sets its timer with
    /// each request moves it once in a while only.
    mutating func schedule(_ timer: WheelTimer, at time: Int64) {
        let (rounded, overflow) = time.addingReportingOverflow(TimerWheel.tickLength - 1)
        timer.due = max(current + 1, (overflow ? Int64.max : rounded) / TimerWheel.tickLength)
        if timer.tick >= 0 {
            if timer.tick <= timer.due { return }
            remove(timer)
        }
        insert(timer)
    }

    /// Keeps `timer` from firing, and leaves it where it lies: for one that is set again soon.
    func disarm(_ timer: WheelTimer) {
        timer.due = -1
    }

    /// Takes `timer` out, if it is in.
    mutating func cancel(_ timer: WheelTimer) {
        timer.due = -1
        if timer.tick >= 0 { remove(timer) }
    }

    private mutating func insert(_ timer: WheelTimer) {
        timer.tick = timer.due
        let head = slots[Int(timer.tick % Int64(TimerWheel.slotCount))]
        timer.next = head.next
        timer.previous = head
        head.next?.previous = timer
        head.next = timer
        count += 1
    }

    private mutating func remove(_ timer: WheelTimer) {
        timer.tick = -1
        timer.previous?.next = timer.next
        timer.next?.previous = timer.previous
        timer.next = nil
        timer.previous = nil
        count -= 1
    }

    /// Moves time on, and returns the timers whose time has come, each taken out, for ``WheelTimer/fire()``.
    mutating func advance(to now: Int64) -> [WheelTimer] {
        let target = now / TimerWheel.tickLength
        guard target > current else { return [] }
        guard count > 0 else {
            current = target
            return []
        }
        var found: [WheelTimer] = []
        let steps = min(target - current, Int64(TimerWheel.slotCount))
        for step in 1...steps {
            let slot = Int((target - steps + step) % Int64(TimerWheel.slotCount))
            var next = slots[slot].next
            while let timer = next {
                next = timer.next
                if timer.tick <= target { found.append(timer) }
            }
        }
        current = target
        for timer in found {
            remove(timer)
            if timer.due > target { insert(timer) }
        }
        return found.filter { $0.tick < 0 && $0.due >= 0 }
    }
}
