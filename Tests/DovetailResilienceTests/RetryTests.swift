import DovetailCore
import DovetailResilience
import Testing

@Suite struct RetryPolicyTests {
    private func decide(
        _ error: any Error, after attempt: Int = 1, safety: RetrySafety = .always, left: Duration? = nil,
        policy: RetryPolicy = RetryPolicy(), seed: UInt64 = 1
    ) -> RetryDecision {
        var random = SeededGenerator(seed: seed)
        return policy.decide(
            afterAttempt: attempt, failedWith: error, safety: safety, at: .at(.seconds(5)),
            deadline: left.map { .at(.seconds(5) + $0) }, using: &random)
    }

    @Test(arguments: [
        (CallError.refused as any Error, true, true), (CallError.lost, true, false), (Problem.busy, true, true),
        (Problem.tooMany, true, true), (Problem.broken, true, false), (Problem.conflict, false, false),
        (Unclassified(), false, false), (CancellationError(), false, false),
    ])
    func sendsAgainOnlyWhatMayBeSentAgain(error: any Error, idempotent: Bool, other: Bool) {
        #expect((decide(error, safety: .always) == .giveUp(.notRetriable)) == !idempotent)
        #expect((decide(error, safety: .onlyIfNotSent) == .giveUp(.notRetriable)) == !other)
    }

    @Test func stopsAfterTheLastAttempt() {
        #expect(decide(CallError.refused, after: 2) != .giveUp(.attemptsExhausted))
        #expect(decide(CallError.refused, after: 3) == .giveUp(.attemptsExhausted))
        let once = RetryPolicy(maximumAttempts: 1)
        #expect(decide(CallError.refused, policy: once) == .giveUp(.attemptsExhausted))
    }

    @Test func waitsARandomTimeUpToABoundThatDoubles() {
        let policy = RetryPolicy(
            maximumAttempts: .max, baseDelay: .milliseconds(25), maximumDelay: .milliseconds(250))
        for (attempt, bound) in [(1, 25), (2, 50), (3, 100), (4, 200), (5, 250), (6, 250), (1_000, 250)] {
            let waits = (0..<300 as Range<UInt64>).compactMap { seed -> Duration? in
                let decision = decide(Problem.busy, after: attempt, policy: policy, seed: seed)
                guard case .retry(let wait) = decision else { return nil }
                return wait
            }
            #expect(waits.count == 300)
            #expect(waits.allSatisfy { $0 >= .zero && $0 <= .milliseconds(bound) })
            #expect((waits.max() ?? .zero) > .milliseconds(bound) * 0.9)
            #expect((waits.min() ?? .zero) < .milliseconds(bound) * 0.1)
        }
    }

    @Test func neverAsksSoonerThanTheCalleeSaid() {
        var busy = Problem.busy
        busy.retryAfter = .seconds(2)
        for seed in 0..<100 as Range<UInt64> {
            guard case .retry(let wait) = decide(busy, left: .seconds(10), seed: seed) else {
                Issue.record("gave up with time left")
                return
            }
            #expect(wait >= .seconds(2))
            #expect(wait <= .seconds(2) + .milliseconds(25))
        }
    }

    @Test func givesUpAtOnceIfTheCalleeAsksForMoreTimeThanThereIs() {
        var busy = Problem.busy
        busy.retryAfter = .seconds(2)
        #expect(decide(busy, left: .milliseconds(1_999)) == .giveUp(.deadline))
        #expect(decide(busy, left: .seconds(2)) == .giveUp(.deadline))
    }

    @Test func startsNoAttemptAtOrPastTheDeadline() {
        let atOnce = RetryPolicy(baseDelay: .zero)
        #expect(decide(CallError.refused, left: .zero, policy: atOnce) == .giveUp(.deadline))
        #expect(decide(CallError.refused, left: .nanoseconds(1), policy: atOnce) == .retry(after: .zero))
    }
}

@Suite struct RetryBudgetTests {
    @Test func grantsTheMinimumToACalleeWithNoCalls() {
        var budget = RetryBudgetState(policy: RetryBudgetPolicy())
        #expect((0..<20).count { _ in budget.withdraw(at: .at(.zero)) } == 10)
        #expect((0..<20).count { _ in budget.withdraw(at: .at(.milliseconds(500))) } == 5)
    }

    @Test func grantsAFifthOfTheCallsOfTheLastTenSeconds() {
        var budget = RetryBudgetState(policy: RetryBudgetPolicy(minimumPerSecond: 0))
        for second in 0..<10 { for _ in 0..<7 { budget.deposit(at: .at(.seconds(second))) } }
        var later = budget
        #expect((0..<100).count { _ in budget.withdraw(at: .at(.seconds(9))) } == 14)
        // Five seconds on, the calls of seconds 5 to 9 still count.
        #expect((0..<100).count { _ in later.withdraw(at: .at(.seconds(14))) } == 7)
        #expect((0..<5).count { _ in later.withdraw(at: .at(.seconds(100))) } == 0)
    }

    @Test func aBudgetOfNothingGrantsNothing() {
        var budget = RetryBudgetState(policy: RetryBudgetPolicy(ratio: 0, minimumPerSecond: 0))
        budget.deposit(at: .at(.zero))
        #expect((0..<5).count { _ in budget.withdraw(at: .at(.zero)) } == 0)
    }

    @Test(arguments: 0..<30 as Range<UInt64>)
    func neverGrantsMoreThanItsShare(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let policy = RetryBudgetPolicy(
            ratio: .random(in: 0...1, using: &random), window: .seconds(.random(in: 1...20, using: &random)),
            minimumPerSecond: .random(in: 0...20, using: &random))
        var budget = RetryBudgetState(policy: policy)
        var now = 0.0
        var calls: [Double] = []
        var grants: [Double] = []
        for _ in 0..<3_000 {
            now += .random(in: 0...0.02, using: &random)
            let time = MonotonicTime.at(.nanoseconds(Int64(now * 1e9)))
            if Int.random(in: 0..<3, using: &random) == 0 {
                budget.deposit(at: time)
                calls.append(now)
            } else if budget.withdraw(at: time) {
                grants.append(now)
            }
        }
        #expect(policy.minimumPerSecond == 0 || !grants.isEmpty)
        for first in stride(from: 0, to: grants.count, by: 11) {
            var earning = calls.prefix { $0 <= grants[first] }.count
            let expired = calls.prefix { $0 < grants[first] - policy.window.inSeconds }.count
            var worst = -Double.infinity
            for last in first..<grants.count {
                while earning < calls.count, calls[earning] <= grants[last] { earning += 1 }
                let minimum = Double(policy.minimumPerSecond) * (grants[last] - grants[first] + 1)
                let share = policy.ratio * Double(earning - expired) + minimum
                worst = max(worst, Double(last - first + 1) - share)
            }
            #expect(worst <= 1e-3)
        }
    }

    @Test func grantsExactlyItsShareToAHundredTasks() async {
        let budget = RetryBudget(policy: RetryBudgetPolicy(ratio: 0.2, minimumPerSecond: 10))
        await withDiscardingTaskGroup { group in
            for _ in 0..<100 { group.addTask { for _ in 0..<20 { budget.deposit(at: .at(.zero)) } } }
        }
        let granted = Counter()
        await withDiscardingTaskGroup { group in
            for _ in 0..<100 {
                group.addTask { for _ in 0..<10 where budget.withdraw(at: .at(.zero)) { granted.add() } }
            }
        }
        #expect(granted.value == 410)
    }
}
