import DovetailCore
import Testing

@testable import DovetailResilience

@Suite struct CircuitBreakerStateTests {
    private static func policy(_ change: (inout CircuitBreakerPolicy) -> Void = { _ in }) -> CircuitBreakerPolicy {
        var policy = CircuitBreakerPolicy()
        policy.openDurationJitter = 0
        change(&policy)
        return policy
    }

    private static func breaker(_ change: (inout CircuitBreakerPolicy) -> Void = { _ in }) -> CircuitBreakerState {
        CircuitBreakerState(policy: policy(change), seed: 1)
    }

    @Test func opensAtTheFailureRateAndNotBelowTheMinimumOfCalls() {
        var breaker = Self.breaker()
        for number in 0..<19 { #expect(breaker.call(number < 9 ? .success : .failure, at: .zero) == nil) }
        let transition = breaker.call(.failure, at: .zero)
        #expect(transition?.reason == .failureRate(0.55))
        #expect(transition?.from == .closed)
        #expect(transition?.to == .open)
        #expect(transition?.openDuration == .seconds(1))
        #expect(breaker.openings == 1)
    }

    @Test func staysClosedBelowTheFailureRate() {
        var breaker = Self.breaker()
        for number in 0..<1_000 { #expect(breaker.call(number % 100 < 51 ? .success : .failure, at: .zero) == nil) }
    }

    @Test func forgetsCallsThatLeftTheWindowOfTime() {
        var breaker = Self.breaker()
        for _ in 0..<19 { _ = breaker.call(.failure, at: .zero) }
        #expect(breaker.call(.failure, at: .seconds(10)) == nil)
        #expect(breaker.totals(at: .at(.seconds(10))).calls == 1)
        #expect(breaker.totals(at: .at(.seconds(20))).calls == 0)
    }

    @Test func aWindowOfCallsHoldsTheLastOnes() {
        var breaker = Self.breaker { $0.window = .calls(4) }
        for outcome in [.failure, .success, .success, .success] as [CallOutcome] {
            #expect(breaker.call(outcome, at: .zero) == nil)
        }
        #expect(breaker.call(.failure, at: .seconds(1_000)) == nil)
        #expect(breaker.call(.failure, at: .seconds(1_000))?.reason == .failureRate(0.5))
    }

    @Test func opensAfterConnectFailuresInARow() {
        var breaker = Self.breaker()
        for _ in 0..<4 { #expect(breaker.call(.connectFailure, at: .zero) == nil) }
        #expect(breaker.call(.success, at: .zero) == nil)
        for _ in 0..<4 { #expect(breaker.call(.connectFailure, at: .zero) == nil) }
        #expect(breaker.call(.connectFailure, at: .zero)?.reason == .connectFailures(5))
    }

    @Test func slowCallsCountOnlyWhereAskedFor() {
        var plain = Self.breaker()
        var strict = Self.breaker {
            $0.slowCallDurationThreshold = .seconds(2)
            $0.slowCallRateThreshold = 0.5
        }
        for number in 0..<20 {
            #expect(plain.call(.success, at: .zero, taking: .seconds(3)) == nil)
            let transition = strict.call(.success, at: .zero, taking: number % 2 == 0 ? .seconds(1) : .seconds(2))
            #expect(transition?.reason == (number == 19 ? .slowCallRate(0.5) : nil))
        }
    }

    @Test func refusesWhileOpenAndSaysForHowLong() {
        var breaker = Self.breaker()
        breaker.open(at: .zero)
        #expect(breaker.refusal(at: .milliseconds(400)) == .milliseconds(600))
        #expect(breaker.refusal(at: .milliseconds(999)) == .milliseconds(1))
        #expect(breaker.rejected == 2)
        #expect(breaker.refusal(at: .seconds(1)) == nil)
        #expect(breaker.phase == .halfOpen)
    }

    @Test func closesWhenAllProbesAreAnsweredWell() {
        var breaker = Self.breaker()
        breaker.open(at: .zero)
        #expect(breaker.call(.success, at: .seconds(1)) == nil)
        #expect(breaker.call(.failure, at: .seconds(1)) == nil)
        let transition = breaker.call(.success, at: .seconds(1))
        #expect(transition?.reason == .probesSucceeded)
        #expect(transition?.to == .closed)
        #expect(breaker.totals(at: .at(.seconds(1))).calls == 0)
    }

    @Test func opensAgainForTwiceAsLongUpToTheMaximumAndStartsAnewAfterClosing() {
        var breaker = Self.breaker()
        breaker.open(at: .zero)
        var now = Duration.seconds(1)
        for expected in [2, 4, 8, 16, 32, 60, 60] {
            #expect(breaker.call(.failure, at: now) == nil)
            let transition = breaker.call(.failure, at: now)
            #expect(transition?.reason == .probesFailed)
            #expect(transition?.openDuration == .seconds(expected))
            now = now + .seconds(expected)
        }
        #expect(breaker.openings == 8)
        for _ in 0..<3 { _ = breaker.call(.success, at: now) }
        #expect(breaker.phase == .closed)
        #expect(breaker.open(at: now)?.openDuration == .seconds(1))
    }

    @Test func variesTheOpenTimeWithinItsJitter() {
        let lengths = (0..<200 as Range<UInt64>).compactMap { seed -> Double? in
            var breaker = CircuitBreakerState(policy: CircuitBreakerPolicy(), seed: seed)
            return breaker.open(at: .zero)?.openDuration?.inSeconds
        }
        #expect(lengths.count == 200)
        #expect(lengths.allSatisfy { 0.8...1.2 ~= $0 })
        #expect((lengths.min() ?? 1) < 0.85)
        #expect((lengths.max() ?? 1) > 1.15)
    }

    @Test func aProbeThatIsGivenBackIsGivenAgain() {
        var breaker = Self.breaker()
        breaker.open(at: .zero)
        for round in 0..<50 {
            let tokens = (0..<3).compactMap { _ in breaker.token(at: .seconds(1)) }
            #expect(tokens.count == 3)
            #expect(breaker.token(at: .seconds(1)) == nil)
            for token in tokens {
                if round % 2 == 0 {
                    breaker.release(token)
                } else {
                    #expect(breaker.record(.ignored, of: token, at: .at(.seconds(1))) == nil)
                }
            }
        }
        for _ in 0..<3 { _ = breaker.call(.success, at: .seconds(1)) }
        #expect(breaker.phase == .closed)
    }

    @Test func probesThatNeverComeBackReopenIt() {
        var breaker = Self.breaker()
        breaker.open(at: .zero)
        let lost = (0..<3).compactMap { _ in breaker.token(at: .seconds(1)) }
        #expect(breaker.refusal(at: .seconds(30)) == .seconds(1))
        let (_, transition) = breaker.admit(at: .at(.seconds(31)))
        #expect(transition?.reason == .probesUnanswered)
        #expect(breaker.token(at: .seconds(33)) != nil)
        for token in lost { #expect(breaker.record(.success, of: token, at: .at(.seconds(33))) == nil) }
        #expect(breaker.phase == .halfOpen)
    }

    @Test func whatStartedBeforeAChangeOfPhaseDecidesNothingAfterIt() {
        var breaker = Self.breaker { $0.permittedNumberOfCallsInHalfOpenState = 1 }
        let early = (0..<40).compactMap { _ in breaker.token(at: .zero) }
        breaker.open(at: .zero)
        for token in early[..<20] { #expect(breaker.record(.success, of: token, at: .at(.milliseconds(500))) == nil) }
        #expect(breaker.phase == .open)
        let probe = breaker.token(at: .seconds(1))
        for token in early[20...] { #expect(breaker.record(.failure, of: token, at: .at(.seconds(1))) == nil) }
        #expect(breaker.phase == .halfOpen)
        #expect(probe.flatMap { breaker.record(.success, of: $0, at: .at(.seconds(1))) }?.to == .closed)
    }

    @Test(arguments: [
        (Problem.conflict as any Error, CallOutcome.success), (Problem.tooMany, .success), (Problem.busy, .failure),
        (Problem.broken, .failure), (CallError.refused, .connectFailure), (CallError.lost, .failure),
        (CancellationError(), .ignored), (Unclassified(), .failure),
        (CallError(.circuitOpen, callee: "a", message: "", wasSent: false), .ignored),
        (CallError(.bulkheadFull, callee: "a", message: "", wasSent: false), .ignored),
        (CallError(.rateLimited, callee: "a", message: "", wasSent: false), .ignored),
        (CallError(.deadlineExceeded, callee: "a", message: "", wasSent: false), .ignored),
        (CallError(.deadlineExceeded, callee: "a", message: "", wasSent: true), .failure),
    ])
    func whichErrorsCount(error: any Error, outcome: CallOutcome) {
        #expect(CallOutcome.of(error) == outcome)
    }
}

extension CircuitBreakerState {
    mutating func token(at time: Duration) -> Token? {
        guard case .permitted(let token) = admit(at: .at(time)).verdict else { return nil }
        return token
    }

    /// The time after which to ask again; nil if the call may be made, which then counts as not made.
    mutating func refusal(at time: Duration) -> Duration? {
        switch admit(at: .at(time)).verdict {
        case .rejected(let retryAfter): return retryAfter
        case .permitted(let token):
            release(token)
            return nil
        }
    }

    mutating func call(
        _ outcome: CallOutcome, at time: Duration, taking duration: Duration = .zero
    ) -> CircuitBreakerTransition? {
        token(at: time).flatMap { record(outcome, of: $0, at: .at(time + duration)) }
    }

    /// Lets calls fail until it opens.
    @discardableResult
    mutating func open(at time: Duration) -> CircuitBreakerTransition? {
        for _ in 0..<100 { if let transition = call(.failure, at: time) { return transition } }
        return nil
    }
}
