import DovetailCore
import Foundation

/// The time that sagas go by: dates, since timers outlive processes. What is slept is measured steadily, whatever becomes of the dates meanwhile.
public struct SagaClock: Sendable {
    /// The longest sleep until a date: a clock that jumps is noticed then.
    static var longestSleep: Duration { .seconds(60) }

    /// The present time.
    public let now: @Sendable () -> Date
    /// What measures how long something takes; never jumps.
    let steady: any MonotonicClock
    /// Draws a number from 0 to 1, for the pauses between attempts.
    let share: @Sendable () -> Double

    /// The system's time.
    public static let system = SagaClock(
        now: { Date() }, steady: SystemClock(), share: { Double.random(in: 0...1) })

    /// A time that begins at `origin` and goes on as `clock` does; pauses are not random.
    public static func by(_ clock: any MonotonicClock, from origin: Date) -> SagaClock {
        let start = clock.now
        return SagaClock(
            now: { origin.addingTimeInterval((clock.now - start).inSeconds) }, steady: clock, share: { 1 })
    }

    /// Returns when a time has passed; throws `CancellationError` when cancelled.
    func sleep(for duration: Duration) async throws { try await steady.sleep(for: duration) }

    /// Returns at a date, soon after, or after a minute if that comes first; throws `CancellationError` when cancelled.
    func sleep(until date: Date) async throws {
        let left = Duration.seconds(max(0.001, min(date.timeIntervalSince(now()), SagaClock.longestSleep.inSeconds)))
        try await steady.sleep(for: left)
    }
}

/// Notices when dates go back: compares them, from one look to the next, with a clock that does not jump.
///
/// Pure. A clock that jumps ahead needs no notice: what is due by it is found at the next look.
struct SagaClockWatch {
    /// What is less counts as the clock's being adjusted.
    static var tolerance: Duration { .seconds(1) }

    private var date: Date
    private var moment: MonotonicTime

    init(_ date: Date, _ moment: MonotonicTime) {
        self.date = date
        self.moment = moment
    }

    /// How far dates have gone back since the last time that was asked; nil if they have not. What is noticed once is not noticed again.
    mutating func setBack(_ date: Date, _ moment: MonotonicTime) -> Duration? {
        let back = missing(date, moment)
        (self.date, self.moment) = (date, moment)
        return back
    }

    /// The same, without taking notice.
    func missing(_ date: Date, _ moment: MonotonicTime) -> Duration? {
        let expected = self.date.addingTimeInterval((moment - self.moment).inSeconds)
        let back = Duration.seconds(expected.timeIntervalSince(date))
        return back > Self.tolerance ? back : nil
    }
}
