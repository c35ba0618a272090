import DovetailCore
import DovetailResilience
import ServiceContextModule
import Testing

private enum Tenant: ServiceContextKey {
    typealias Value = String
}

@Suite(.timeLimit(.minutes(1))) struct DeadlineTests {
    private let clock = ManualClock()

    @Test func deliversAResultInTime() async throws {
        #expect(try await withDeadline(.at(.seconds(1)), clock: clock) { 42 } == 42)
        await #expect(throws: Problem.conflict) {
            try await withDeadline(.at(.seconds(1)), clock: clock) { throw Problem.conflict }
        }
    }

    @Test func answersOnTimeThoughTheOperationHangsAndCountsWhatComesLate() async throws {
        let hang = Latch()
        let late = Latch()
        let lateResults = Counter()
        let call = Task { [clock] in
            try await withDeadline(
                .at(.seconds(1)), callee: "orders", clock: clock,
                onLateResult: {
                    lateResults.add()
                    late.signal()
                }, operation: { await hang.wait() })
        }
        await clock.sleepers(atLeast: 1)
        clock.advance(by: .seconds(1))
        let error = await #expect(throws: CallError.self) { try await call.value }
        #expect(error?.code == .deadlineExceeded)
        #expect(error?.callee == "orders")
        #expect(error?.wasSent == true)
        #expect(lateResults.value == 0)
        hang.signal()
        await late.wait()
        #expect(lateResults.value == 1)
    }

    @Test func cancelsTheOperationAtTheDeadline() async {
        let cancelled = Latch()
        let lateResults = Counter()
        let call = Task { [clock] in
            try await withDeadline(.at(.seconds(1)), clock: clock, onLateResult: { lateResults.add() }) {
                do {
                    try await clock.sleep(for: .seconds(1_000))
                } catch {
                    cancelled.signal()
                    throw error
                }
            }
        }
        await clock.sleepers(atLeast: 2)
        clock.advance(by: .seconds(1))
        await #expect(throws: CallError.self) { try await call.value }
        await cancelled.wait()
        #expect(lateResults.value == 0)
    }

    @Test func doesNotStartWhatIsTooLate() async {
        clock.advance(by: .seconds(1))
        let started = Counter()
        let error = await #expect(throws: CallError.self) {
            try await withDeadline(.at(.seconds(1)), clock: clock) { _ = started.add() }
        }
        #expect(error?.wasSent == false)
        #expect(started.value == 0)
    }

    @Test func cancellingTheCallerCancelsTheOperation() async {
        let started = Latch()
        let call = Task { [clock] in
            try await withDeadline(.at(.seconds(1)), clock: clock) {
                started.signal()
                try await clock.sleep(for: .seconds(1_000))
            }
        }
        await started.wait()
        call.cancel()
        await #expect(throws: CancellationError.self) { try await call.value }
    }

    @Test func aCallerCancelledBeforehandCancelsTheOperation() async {
        let begin = Latch()
        let call = Task { [clock] in
            await begin.wait()
            try await withDeadline(.at(.seconds(1)), clock: clock) { try await clock.sleep(for: .seconds(1_000)) }
        }
        call.cancel()
        begin.signal()
        await #expect(throws: CancellationError.self) { try await call.value }
    }

    @Test func aCancelledCallerOfAHangingOperationWaitsForTheDeadlineAndNoLonger() async {
        let hang = Latch()
        let started = Latch()
        let call = Task { [clock] in
            try await withDeadline(.at(.seconds(1)), clock: clock) {
                started.signal()
                await hang.wait()
            }
        }
        await started.wait()
        call.cancel()
        await clock.sleepers(atLeast: 1)
        clock.advance(by: .seconds(1))
        let error = await #expect(throws: CallError.self) { try await call.value }
        #expect(error?.code == .deadlineExceeded)
        hang.signal()
    }

    @Test func taskLocalValuesReachTheOperation() async throws {
        var trace = ServiceContext.topLevel
        trace[Tenant.self] = "acme"
        let context = CallContext(deadline: .at(.seconds(9)), correlationID: "flow", trace: trace)
        let seen = try await ServiceContext.$current.withValue(trace) {
            try await CallContext.$current.withValue(context) {
                try await withDeadline(.at(.seconds(5)), clock: clock) {
                    (CallContext.current, ServiceContext.current?[Tenant.self])
                }
            }
        }
        #expect(seen.0?.correlationID == "flow")
        #expect(seen.0?.deadline == .at(.seconds(5)))
        #expect(seen.1 == "acme")
    }

    @Test func anEarlierDeadlineOfTheContextStays() async throws {
        let context = CallContext(deadline: .at(.seconds(2)))
        let seen = try await CallContext.$current.withValue(context) {
            try await withDeadline(.at(.seconds(5)), clock: clock) { CallContext.current?.deadline }
        }
        #expect(seen == .at(.seconds(2)))
    }

    /// Operation, deadline and cancellation all at the same moment, on the real clock: each caller gets one answer.
    @Test func everyCallerGetsOneAnswerWhateverComesFirst() async {
        let answers = await withTaskGroup(of: Int.self) { group in
            for number in 0..<600 {
                group.addTask {
                    let call = Task {
                        try await withDeadline(.now + .microseconds(500)) {
                            try? await Task.sleep(for: .microseconds(number % 3 == 0 ? 500 : 10 * number))
                        }
                    }
                    if number % 2 == 0 {
                        try? await Task.sleep(for: .microseconds(500))
                        call.cancel()
                    }
                    _ = await call.result
                    return 1
                }
            }
            return await group.reduce(0, +)
        }
        #expect(answers == 600)
    }
}
