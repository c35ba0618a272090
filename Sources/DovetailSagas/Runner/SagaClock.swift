import DovetailCore
import Foundation

/// The time that sagas go by: dates, since timers outlive processes.
public struct SagaClock: Sendable {
    /// The present time.
    public let now: @Sendable () -> Date
    /// Returns at a time, or soon after; throws `CancellationError` when cancelled.
    let sleep: @Sendable (Date) async throws -> Void
    /// Draws a number from 0 to 1, for the pauses between attempts.
    let share: @Sendable () -> Double

    /// The system's time.
    public static let system = SagaClock(
        now: { Date() },
        sleep: { try await SystemClock().sleep(for: .seconds(max(0.001, $0.timeIntervalSinceNow))) },
        share: { Double.random(in: 0...1) })

    /// A time that begins at `origin` and goes on as `clock` does; pauses are not random.
    public static func by(_ clock: any MonotonicClock, from origin: Date) -> SagaClock {
        let start = clock.now
        @Sendable func now() -> Date { origin.addingTimeInterval((clock.now - start).inSeconds) }
        return SagaClock(
            now: now, sleep: { try await clock.sleep(for: .seconds(max(0, $0.timeIntervalSince(now())))) },
            share: { 1 })
    }
}
