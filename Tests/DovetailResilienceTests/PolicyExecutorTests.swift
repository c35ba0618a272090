import DovetailCore
import DovetailResilience
import Testing

@Suite(.timeLimit(.minutes(1))) struct PolicyExecutorTests {
    /// Retries and nothing else, on a clock that jumps over the waits.
    private static func retrying(_ attempts: Int = 3) -> CallPolicy {
        var policy = CallPolicy.unguarded
        policy.retry = RetryPolicy(maximumAttempts: attempts)
        return policy
    }

    private static func failing(_ errors: [any Error]) -> (
        calls: Counter, operation: @Sendable (Attempt) async throws -> Int
    ) {
        let calls = Counter()
        return (
            calls,
            { attempt in
                calls.add()
                guard attempt.number <= errors.count else { return attempt.number }
                throw errors[attempt.number - 1]
            }
        )
    }

    @Test func theDefaultsAreThoseOfTheDocuments() {
        let policy = CallPolicy()
        #expect(policy.timeout == .seconds(15))
        #expect(
            policy.retry
                == RetryPolicy(maximumAttempts: 3, baseDelay: .milliseconds(25), maximumDelay: .milliseconds(250)))
        #expect(policy.retryBudget == RetryBudgetPolicy(ratio: 0.2, window: .seconds(10), minimumPerSecond: 10))
        #expect(policy.circuitBreaker?.minimumNumberOfCalls == 20)
        #expect(policy.circuitBreaker?.failureRateThreshold == 0.5)
        #expect(policy.circuitBreaker?.window == .time(.seconds(10)))
        #expect(policy.bulkhead == BulkheadPolicy(maximumConcurrentCalls: 1_024, maximumQueuedCalls: 128))
        #expect(policy.rateLimit == nil)
    }

    @Test func returnsWhatTheOperationReturns() async throws {
        let executor = PolicyExecutor(callee: "orders")
        #expect(try await executor.run(safety: .always) { $0.number } == 1)
        #expect(executor.counters.calls == 1)
        #expect(executor.counters.succeeded == 1)
        #expect(executor.counters.attempts == 1)
    }

    @Test func sendsAgainUntilItSucceeds() async throws {
        let executor = PolicyExecutor(callee: "orders", policy: Self.retrying(), clock: SkippingClock())
        let (calls, operation) = Self.failing([CallError.refused, CallError.lost])
        #expect(try await executor.run(safety: .always, operation: operation) == 3)
        #expect(calls.value == 3)
        #expect(executor.counters.retries == 2)
    }

    @Test func neverSendsACallAgainThatMayHaveBeenDone() async {
        let executor = PolicyExecutor(callee: "payments", policy: Self.retrying(), clock: SkippingClock())
        for error in [CallError.lost, Problem.broken, Problem.conflict, Unclassified()] as [any Error] {
            let (calls, operation) = Self.failing([error])
            await #expect(throws: (any Error).self) {
                try await executor.run(safety: .onlyIfNotSent, operation: operation)
            }
            #expect(calls.value == 1)
        }
    }

    @Test func neverCallsNotSentWhatAnEarlierAttemptMayHaveSent() async {
        let executor = PolicyExecutor(callee: "orders", policy: Self.retrying(), clock: SkippingClock())
        let (calls, operation) = Self.failing([CallError.lost, CallError.refused, Problem.busy])
        let error = await #expect(throws: CallError.self) {
            try await executor.run(safety: .always, operation: operation)
        }
        #expect(calls.value == 3)
        #expect(error?.code == .answerLost)
        #expect(error?.failureKind == .inDoubt)
    }

    @Test func anAnswerIsTheAnswerWhateverWentBefore() async {
        let executor = PolicyExecutor(callee: "orders", policy: Self.retrying(), clock: SkippingClock())
        let (_, operation) = Self.failing([CallError.lost, Problem.conflict])
        await #expect(throws: Problem.conflict) { try await executor.run(safety: .always, operation: operation) }
    }

    @Test func anExecutorToldNotToRetryDoesNot() async {
        var policy = CallPolicy()
        policy.retry = nil
        let executor = PolicyExecutor(callee: "orders", policy: policy, clock: ManualClock())
        let (calls, operation) = Self.failing([CallError.refused])
        await #expect(throws: CallError.self) { try await executor.run(safety: .always, operation: operation) }
        #expect(calls.value == 1)
    }

    @Test func attemptsDoNotMultiplyWhenOnlyTheInnerOneRetries() async {
        var outerPolicy = CallPolicy()
        outerPolicy.retry = nil
        let outer = PolicyExecutor(callee: "orders", policy: outerPolicy, clock: ManualClock())
        let inner = PolicyExecutor(callee: "stock", policy: Self.retrying(), clock: SkippingClock())
        let (calls, operation) = Self.failing(Array(repeating: CallError.refused, count: 99))
        await #expect(throws: CallError.self) {
            try await outer.run(safety: .always) { _ in try await inner.run(safety: .always, operation: operation) }
        }
        #expect(calls.value == 3)
    }

    @Test func waitsAsLongAsTheCalleeAsks() async throws {
        let clock = SkippingClock()
        let executor = PolicyExecutor(callee: "orders", policy: Self.retrying(), clock: clock)
        var busy = Problem.busy
        busy.retryAfter = .seconds(3)
        let (_, operation) = Self.failing([busy])
        _ = try await executor.run(safety: .onlyIfNotSent, operation: operation)
        #expect(clock.now >= .at(.seconds(3)))
        #expect(clock.now <= .at(.milliseconds(3_025)))
    }

    @Test func givesUpAtOnceWhenTheCalleeAsksForTooLong() async {
        let clock = ManualClock()
        let executor = PolicyExecutor(callee: "orders", clock: clock)
        var busy = Problem.busy
        busy.retryAfter = .seconds(16)
        let (calls, operation) = Self.failing([busy])
        await #expect(throws: busy) { try await executor.run(safety: .always, operation: operation) }
        #expect(calls.value == 1)
        #expect(clock.now == .at(.zero))
    }

    @Test func aCalleeThatFailsAltogetherGetsNoStorm() async {
        let clock = SkippingClock()
        var policy = Self.retrying()
        policy.retryBudget = RetryBudgetPolicy()
        let exhausted = Counter()
        let executor = PolicyExecutor(callee: "orders", policy: policy, clock: clock) { event in
            if case .budgetExhausted = event { exhausted.add() }
        }
        for _ in 0..<5_000 {
            _ = try? await executor.run(safety: .always) { _ in throw CallError.lost }
            try? await clock.sleep(for: .milliseconds(2))
        }
        let counters = executor.counters
        let elapsed = clock.now.nanoseconds / 1_000_000_000
        #expect(counters.calls == 5_000)
        #expect(Double(counters.attempts) <= 1.2 * 5_000 + 10 * Double(elapsed + 2))
        #expect(counters.retries >= 1_000)
        #expect(counters.budgetExhausted > 0)
        #expect(counters.budgetExhausted == exhausted.value)
        #expect(counters.attempts == counters.calls + counters.retries)
    }

    @Test func theBreakerStopsCallsAndRetries() async {
        let clock = ManualClock()
        var policy = CallPolicy()
        policy.retry = nil
        policy.circuitBreaker?.openDurationJitter = 0
        let events = Collector<PolicyEvent>()
        let executor = PolicyExecutor(callee: "orders", policy: policy, clock: clock) { events.append($0) }
        for _ in 0..<5 { _ = try? await executor.run(safety: .always) { _ in throw CallError.refused } }
        let reached = Counter()
        let error = await #expect(throws: CallError.self) {
            try await executor.run(safety: .always) { _ in reached.add() }
        }
        #expect(error?.code == .circuitOpen)
        #expect(error?.retryAfter == .seconds(1))
        #expect(error?.wasSent == false)
        #expect(reached.value == 0)
        #expect(executor.counters.circuitOpenings == 1)
        #expect(executor.counters.circuitOpen == 1)
        #expect(events.values.count == 2)
    }

    @Test func aBreakerThatOpensBetweenAttemptsDoesNotHideTheDoubt() async {
        var policy = CallPolicy.unguarded
        policy.retry = RetryPolicy(baseDelay: .zero)
        policy.circuitBreaker = CircuitBreakerPolicy()
        policy.circuitBreaker?.minimumNumberOfCalls = 1
        let executor = PolicyExecutor(callee: "orders", policy: policy, clock: ManualClock())
        let error = await #expect(throws: CallError.self) {
            try await executor.run(safety: .always) { _ in throw CallError.lost }
        }
        #expect(error?.code == .answerLost)
        #expect(executor.counters.attempts == 1)
        #expect(executor.counters.circuitOpen == 1)
    }

    @Test func theRateLimitRefusesAtOnce() async throws {
        var policy = CallPolicy()
        policy.rateLimit = RateLimit(2, per: .seconds(1))
        let executor = PolicyExecutor(callee: "orders", policy: policy, clock: ManualClock())
        for _ in 0..<2 { _ = try await executor.run(safety: .always) { $0.number } }
        let error = await #expect(throws: CallError.self) { try await executor.run(safety: .always) { $0.number } }
        #expect(error?.code == .rateLimited)
        #expect(error?.retryAfter == .milliseconds(500))
        #expect(executor.counters.rateLimited == 1)
    }

    @Test func theBulkheadRefusesWhatItHasNoRoomFor() async {
        var policy = CallPolicy()
        policy.bulkhead = BulkheadPolicy(maximumConcurrentCalls: 1, maximumQueuedCalls: 0)
        let executor = PolicyExecutor(callee: "orders", policy: policy, clock: ManualClock())
        let started = Latch()
        let finish = Latch()
        async let first: Void = executor.run(safety: .always) { _ in
            started.signal()
            await finish.wait()
        }
        await started.wait()
        let error = await #expect(throws: CallError.self) { try await executor.run(safety: .always) { $0.number } }
        #expect(error?.code == .bulkheadFull)
        #expect(executor.counters.bulkheadFull == 1)
        finish.signal()
        try? await first
    }

    @Test func answersAtTheTimeoutThoughTheOperationHangs() async {
        let clock = ManualClock()
        let late = Latch()
        let executor = PolicyExecutor(callee: "orders", clock: clock) { event in
            if case .lateResult = event { late.signal() }
        }
        let hang = Latch()
        let call = Task { try await executor.run(safety: .always) { _ in await hang.wait() } }
        await clock.sleepers(atLeast: 1)
        clock.advance(by: .seconds(15))
        let error = await #expect(throws: CallError.self) { try await call.value }
        #expect(error?.code == .deadlineExceeded)
        #expect(error?.failureKind == .inDoubt)
        #expect(executor.counters.timedOut == 1)
        #expect(executor.bulkhead?.active == 0)
        hang.signal()
        await late.wait()
        #expect(executor.counters.lateResults == 1)
    }

    @Test func anAttemptThatTimesOutIsFollowedByAnotherIfTheCallIsIdempotent() async throws {
        let clock = ManualClock()
        var policy = CallPolicy()
        policy.attemptTimeout = .seconds(2)
        policy.retry = RetryPolicy(baseDelay: .zero)
        let executor = PolicyExecutor(callee: "orders", policy: policy, clock: clock)
        let hang = Latch()
        let call = Task {
            try await executor.run(safety: .always) { attempt in
                if attempt.number == 1 { await hang.wait() }
                return attempt
            }
        }
        await clock.sleepers(atLeast: 1)
        clock.advance(by: .seconds(2))
        let attempt = try await call.value
        #expect(attempt.number == 2)
        #expect(attempt.deadline == .at(.seconds(4)))
        hang.signal()
    }

    @Test func theEarliestDeadlineCounts() async throws {
        let executor = PolicyExecutor(callee: "orders", clock: ManualClock())
        let own = try await executor.run(safety: .always) { $0.deadline }
        let given = try await executor.run(safety: .always, deadline: .at(.seconds(3))) { $0.deadline }
        let inherited = try await CallContext.$current.withValue(CallContext(deadline: .at(.seconds(2)))) {
            try await executor.run(safety: .always, deadline: .at(.seconds(3))) { $0.deadline }
        }
        #expect([own, given, inherited] == [.at(.seconds(15)), .at(.seconds(3)), .at(.seconds(2))])
    }

    @Test func aCallThatComesTooLateIsNotMadeAndSaysNothingAboutTheCallee() async {
        let clock = ManualClock()
        clock.advance(by: .seconds(5))
        let executor = PolicyExecutor(callee: "orders", clock: clock)
        for _ in 0..<30 {
            let error = await #expect(throws: CallError.self) {
                try await executor.run(safety: .always, deadline: .at(.seconds(5))) { $0.number }
            }
            #expect(error?.code == .deadlineExceeded)
            #expect(error?.wasSent == false)
        }
        #expect(executor.counters.attempts == 0)
        #expect(executor.circuitBreaker?.snapshot.phase == .closed)
    }

    @Test func aCancelledCallerGetsHowItsAttemptEndedAndNoOther() async {
        let clock = ManualClock()
        let executor = PolicyExecutor(callee: "orders", clock: clock)
        let started = Latch()
        let call = Task {
            try await executor.run(safety: .always) { _ in
                started.signal()
                do { try await clock.sleep(for: .seconds(1)) } catch { throw CallError.lost }
            }
        }
        await started.wait()
        call.cancel()
        let error = await #expect(throws: CallError.self) { try await call.value }
        #expect(error?.code == .answerLost)
        #expect(executor.counters.attempts == 1)
        #expect(executor.counters.retries == 0)
    }

    @Test func cancellationEndsTheWaitForTheNextAttempt() async {
        let clock = ManualClock()
        var policy = Self.retrying()
        policy.retry = RetryPolicy(baseDelay: .seconds(1_000), maximumDelay: .seconds(1_000))
        let executor = PolicyExecutor(callee: "orders", policy: policy, clock: clock)
        let (calls, operation) = Self.failing(Array(repeating: CallError.refused, count: 9))
        let call = Task { try await executor.run(safety: .always, operation: operation) }
        await clock.sleepers(atLeast: 1)
        call.cancel()
        await #expect(throws: CancellationError.self) { try await call.value }
        #expect(calls.value == 1)
    }

    /// On the real clock: calls succeed, fail, hang, time out and are cancelled at random; nothing they hold is lost.
    @Test(arguments: 0..<4 as Range<UInt64>)
    func nothingLeaksWhateverHappens(seed: UInt64) async throws {
        var policy = CallPolicy()
        policy.timeout = .milliseconds(20)
        policy.attemptTimeout = .milliseconds(4)
        policy.retry = RetryPolicy(baseDelay: .microseconds(100), maximumDelay: .milliseconds(1))
        policy.bulkhead = BulkheadPolicy(
            maximumConcurrentCalls: 5, maximumQueuedCalls: 30, maximumQueueWait: .milliseconds(5))
        policy.circuitBreaker?.openDuration = .milliseconds(1)
        policy.circuitBreaker?.maximumOpenDuration = .milliseconds(2)
        let executor = PolicyExecutor(callee: "orders", policy: policy, seed: seed)
        await withDiscardingTaskGroup { group in
            for number in 0..<800 as Range<UInt64> {
                group.addTask {
                    var random = SeededGenerator(seed: seed &* 10_000 &+ number)
                    let fate = Int.random(in: 0..<6, using: &random)
                    let patience = Duration.microseconds(.random(in: 0...4_000, using: &random))
                    let call = Task {
                        try await executor.run(safety: .always) { attempt in
                            switch fate {
                            case 0: throw CallError.refused
                            case 1: throw CallError.lost
                            case 2: try await Task.sleep(for: .milliseconds(50))
                            case 3: try? await Task.sleep(for: .milliseconds(6))
                            default: try await Task.sleep(for: .microseconds(200))
                            }
                        }
                    }
                    if number % 4 == 0 {
                        try? await Task.sleep(for: patience)
                        call.cancel()
                    }
                    _ = await call.result
                }
            }
        }
        #expect(executor.bulkhead?.active == 0)
        #expect(executor.bulkhead?.queued == 0)
        #expect(executor.counters.calls == 800)
        #expect(executor.counters.succeeded + executor.counters.failed == 800)
        // The breaker, whatever phase it was left in, closes again when calls succeed.
        let closed = try await withDeadline(.now + .seconds(10)) {
            while executor.circuitBreaker?.snapshot.phase != .closed {
                _ = try? await executor.run(safety: .always) { _ in }
                try await Task.sleep(for: .milliseconds(1))
            }
            return true
        }
        #expect(closed)
    }
}
