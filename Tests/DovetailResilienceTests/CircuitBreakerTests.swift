import DovetailCore
import Testing

@testable import DovetailResilience

@Suite(.timeLimit(.minutes(1))) struct CircuitBreakerTests {
    private func opened(
        clock: ManualClock, onTransition: (@Sendable (CircuitBreakerTransition) -> Void)? = nil
    ) async -> CircuitBreaker {
        var policy = CircuitBreakerPolicy()
        policy.openDurationJitter = 0
        let breaker = CircuitBreaker(callee: "orders", policy: policy, clock: clock, onTransition: onTransition)
        for _ in 0..<5 { try? await breaker.withPermit { throw CallError.refused } }
        return breaker
    }

    @Test func refusesWithTheTimeToComeBack() async throws {
        let clock = ManualClock()
        let breaker = await opened(clock: clock)
        clock.advance(by: .milliseconds(250))
        let error = await #expect(throws: CallError.self) { try await breaker.withPermit { 1 } }
        #expect(error?.code == .circuitOpen)
        #expect(error?.callee == "orders")
        #expect(error?.wasSent == false)
        #expect(error?.retryAfter == .milliseconds(750))
        #expect(breaker.snapshot.phase == .open)
        #expect(breaker.snapshot.openings == 1)
        #expect(breaker.snapshot.rejected == 1)
    }

    @Test func tellsEachTransitionOnceAndInOrder() async throws {
        let clock = ManualClock()
        let seen = Collector<CircuitBreakerTransition>()
        let breaker = await opened(clock: clock) { seen.append($0) }
        clock.advance(by: .seconds(1))
        for _ in 0..<3 { try await breaker.withPermit {} }
        #expect(seen.values.map(\.reason) == [.connectFailures(5), .openDurationElapsed, .probesSucceeded])
        #expect(seen.values.map(\.at) == [.at(.zero), .at(.seconds(1)), .at(.seconds(1))])
    }

    @Test func anObserverMayCallTheBreaker() async throws {
        let clock = ManualClock()
        let phases = Collector<CircuitBreakerPhase>()
        let own = Collector<CircuitBreaker>()
        let breaker = await opened(clock: clock) { transition in
            for breaker in own.values {
                _ = try? breaker.permit(at: transition.at)
                phases.append(breaker.snapshot.phase)
            }
        }
        own.append(breaker)
        clock.advance(by: .seconds(1))
        for _ in 0..<3 { try await breaker.withPermit {} }
        #expect(phases.values == [.halfOpen, .closed])
    }

    @Test func aTransitionThatAnObserverCausesIsToldAfterTheOneItHears() async throws {
        let clock = ManualClock()
        let heard = Collector<String>()
        let own = Collector<CircuitBreaker>()
        let breaker = await opened(clock: clock) { transition in
            heard.append("begin \(transition.to)")
            for breaker in own.values where transition.to == .halfOpen {
                for _ in 0..<2 { (try? breaker.permit(at: transition.at))?.report(.failure, at: transition.at) }
            }
            heard.append("end \(transition.to)")
        }
        own.append(breaker)
        clock.advance(by: .seconds(1))
        _ = try breaker.permit(at: clock.now)
        #expect(
            heard.values == ["begin open", "end open", "begin halfOpen", "end halfOpen", "begin open", "end open"])
    }

    @Test func halfOpenLetsExactlyItsNumberThroughHoweverManyAsk() async {
        let clock = ManualClock()
        let breaker = await opened(clock: clock)
        clock.advance(by: .seconds(1))
        let admitted = Counter()
        let asked = Latch(100)
        let finish = Latch()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<100 {
                group.addTask {
                    guard let permit = try? breaker.permit(at: clock.now) else { return asked.signal() }
                    admitted.add()
                    asked.signal()
                    await finish.wait()
                    permit.report(.success, at: clock.now)
                }
            }
            await asked.wait()
            #expect(admitted.value == 3)
            #expect(breaker.snapshot.phase == .halfOpen)
            finish.signal()
        }
        #expect(breaker.snapshot.phase == .closed)
    }

    @Test func permitsThatAreDroppedNeverWedgeHalfOpen() async throws {
        let clock = ManualClock()
        let breaker = await opened(clock: clock)
        clock.advance(by: .seconds(1))
        for _ in 0..<100 {
            let first = try breaker.permit(at: clock.now)
            let second = try breaker.permit(at: clock.now)
            let third = try breaker.permit(at: clock.now)
            #expect(throws: CallError.self) { _ = try breaker.permit(at: clock.now) }
            _ = consume first
            _ = consume second
            _ = consume third
        }
        for _ in 0..<3 { try await breaker.withPermit {} }
        #expect(breaker.snapshot.phase == .closed)
    }

    @Test func cancelledProbesNeverWedgeHalfOpen() async throws {
        let clock = ManualClock()
        let breaker = await opened(clock: clock)
        clock.advance(by: .seconds(1))
        for _ in 0..<20 {
            let started = Latch(3)
            let probes = (0..<3).map { _ in
                Task {
                    try await breaker.withPermit {
                        started.signal()
                        try await clock.sleep(for: .seconds(1_000))
                    }
                }
            }
            await started.wait()
            for probe in probes { probe.cancel() }
            for probe in probes { await #expect(throws: CancellationError.self) { try await probe.value } }
        }
        for _ in 0..<3 { try await breaker.withPermit {} }
        #expect(breaker.snapshot.phase == .closed)
    }

    @Test func whatFailsAfterItsCallerWasCancelledSaysNothing() async {
        let clock = ManualClock()
        let breaker = CircuitBreaker(callee: "orders", clock: clock)
        for _ in 0..<30 {
            let started = Latch()
            let call = Task {
                try await breaker.withPermit {
                    started.signal()
                    // As a transport does that reports its cancellation in its own words.
                    do { try await clock.sleep(for: .seconds(1)) } catch { throw CallError.lost }
                }
            }
            await started.wait()
            call.cancel()
            _ = await call.result
        }
        #expect(breaker.snapshot.phase == .closed)
        #expect(breaker.snapshot.calls == 0)
    }

    @Test func answersThatRefuseAndA429LeaveItClosed() async {
        let breaker = CircuitBreaker(callee: "orders", clock: ManualClock())
        for number in 0..<200 {
            try? await breaker.withPermit { throw number % 2 == 0 ? Problem.tooMany : Problem.conflict }
        }
        #expect(breaker.snapshot.phase == .closed)
        #expect(breaker.snapshot.failures == 0)
        #expect(breaker.snapshot.calls == 200)
    }

    @Test func whatCountsAsFailureIsForThePolicyToSay() async {
        var policy = CircuitBreakerPolicy()
        policy.outcome = { ($0 as? Problem)?.status == 429 ? .failure : .of($0) }
        let breaker = CircuitBreaker(callee: "orders", policy: policy, clock: ManualClock())
        for _ in 0..<20 { try? await breaker.withPermit { throw Problem.tooMany } }
        #expect(breaker.snapshot.phase == .open)
    }
}
