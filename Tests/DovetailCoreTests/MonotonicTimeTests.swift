import DovetailCore
import Testing

@Suite struct MonotonicTimeTests {
    @Test func additionSaturates() {
        let late = MonotonicTime(nanoseconds: .max - 5)
        let early = MonotonicTime(nanoseconds: .min + 5)
        #expect(late + .nanoseconds(5) == MonotonicTime(nanoseconds: .max))
        #expect(late + .nanoseconds(6) == MonotonicTime(nanoseconds: .max))
        #expect(early + .nanoseconds(-6) == MonotonicTime(nanoseconds: .min))
        #expect(late + .seconds(Int64.max) == MonotonicTime(nanoseconds: .max))
        #expect(MonotonicTime(nanoseconds: 7) + .milliseconds(-1) == MonotonicTime(nanoseconds: -999_993))
    }

    @Test func subtractionSaturates() {
        let late = MonotonicTime(nanoseconds: .max)
        let early = MonotonicTime(nanoseconds: .min)
        #expect(late - early == .nanoseconds(Int64.max))
        #expect(early - late == .nanoseconds(Int64.min))
        #expect(MonotonicTime(nanoseconds: 5) - MonotonicTime(nanoseconds: 7) == .nanoseconds(-2))
    }

    @Test func durationsHaveWholeNanoseconds() {
        #expect(Duration.seconds(Int64.max).wholeNanoseconds == .max)
        #expect(Duration.seconds(Int64.min).wholeNanoseconds == .min)
        #expect(Duration.nanoseconds(Int64.max).wholeNanoseconds == .max)
        #expect((Duration.nanoseconds(Int64.max) + .nanoseconds(1)).wholeNanoseconds == .max)
        #expect(Duration.nanoseconds(Int64.min).wholeNanoseconds == .min)
        #expect((Duration.nanoseconds(Int64.min) - .nanoseconds(1)).wholeNanoseconds == .min)
        #expect(Duration(secondsComponent: 0, attosecondsComponent: 1_999_999_999).wholeNanoseconds == 1)
        #expect(Duration.milliseconds(1500).inSeconds == 1.5)
        #expect(Duration.milliseconds(-1500).inSeconds == -1.5)
    }

    @Test func theSystemClockNeverGoesBack() {
        var last = MonotonicTime.now
        for _ in 0..<10_000 {
            let now = SystemClock().now
            #expect(now >= last)
            last = now
        }
    }

    @Test func sleepReturnsAtOnceWhenTheTimeHasPassed() async throws {
        let clock: some MonotonicClock = .system
        try await clock.sleep(until: clock.now)
        try await clock.sleep(until: MonotonicTime(nanoseconds: .min))
        try await clock.sleep(for: .nanoseconds(1))
        #expect(MonotonicTime.now > MonotonicTime(nanoseconds: .min))
    }

    @Test func sleepToTheEndOfTimeEndsOnlyByCancellation() async {
        let sleeper = Task { try await SystemClock().sleep(until: MonotonicTime(nanoseconds: .max)) }
        // Long enough to see a timer that overflowed and fired at once, which would end it without an error.
        try? await Task.sleep(for: .milliseconds(50))
        sleeper.cancel()
        await #expect(throws: CancellationError.self) { try await sleeper.value }
        await #expect(throws: CancellationError.self) {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await SystemClock().sleep(until: .now) }
                group.cancelAll()
                group.addTask { try await SystemClock().sleep(until: .now) }
                try await group.waitForAll()
            }
        }
    }
}
