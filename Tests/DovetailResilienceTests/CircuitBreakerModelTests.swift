import DovetailCore
import Foundation
import Testing

@testable import DovetailResilience

/// The breaker written down the slow way: it keeps every outcome and counts anew each time.
private struct NaiveBreaker {
    let policy: CircuitBreakerPolicy
    var phase = CircuitBreakerPhase.closed
    var era = 0
    var history: [(at: Int64, outcome: CallOutcome, slow: Bool)] = []
    var probes: [Int: (outcome: CallOutcome, slow: Bool)?] = [:]
    var ends: Int64 = 0
    var failedRounds = 0
    var nextCall = 0

    mutating func admit(at now: Int64) -> (call: Int, era: Int)? {
        if phase == .open, now >= ends { change(to: .halfOpen, at: now) }
        if phase == .halfOpen, probes.count >= policy.permittedNumberOfCallsInHalfOpenState, now >= ends {
            change(to: .open, at: now)
        }
        nextCall += 1
        switch phase {
        case .closed: return (nextCall, era)
        case .open: return nil
        case .halfOpen:
            guard probes.count < policy.permittedNumberOfCallsInHalfOpenState else { return nil }
            probes[nextCall] = .some(nil)
            return (nextCall, era)
        }
    }

    mutating func record(_ outcome: CallOutcome, call: (call: Int, era: Int), slow: Bool, at now: Int64) {
        guard call.era == era else { return }
        if phase == .halfOpen {
            probes[call.call] = outcome == .ignored ? nil : .some((outcome, slow))
            let answers = probes.values.compactMap { $0 }
            let all = Double(policy.permittedNumberOfCallsInHalfOpenState)
            if reaches(answers.count { $0.outcome != .success }, of: all, policy.failureRateThreshold)
                || reaches(answers.count(where: \.slow), of: all, policy.slowCallRateThreshold)
            {
                change(to: .open, at: now)
            } else if Double(answers.count) == all {
                change(to: .closed, at: now)
            }
            return
        }
        guard outcome != .ignored else { return }
        history.append((now, outcome, slow))
        let row = history.reversed().prefix { $0.outcome == .connectFailure }.count
        if let limit = policy.consecutiveConnectFailures, row >= limit { return change(to: .open, at: now) }
        let counted = windowed(at: now)
        var minimum = policy.minimumNumberOfCalls
        if case .calls(let size) = policy.window { minimum = min(minimum, size) }
        guard counted.count >= minimum else { return }
        if reaches(counted.count { $0.outcome != .success }, of: Double(counted.count), policy.failureRateThreshold)
            || reaches(counted.count(where: \.slow), of: Double(counted.count), policy.slowCallRateThreshold)
        {
            change(to: .open, at: now)
        }
    }

    private func windowed(at now: Int64) -> ArraySlice<(at: Int64, outcome: CallOutcome, slow: Bool)> {
        switch policy.window {
        case .calls(let size): return history.suffix(size)
        case .time(let duration):
            let width = duration.wholeNanoseconds / 10
            return history.filter { $0.at / width > now / width - 10 }[...]
        }
    }

    private func reaches(_ part: Int, of all: Double, _ threshold: Double) -> Bool {
        part > 0 && Double(part) >= threshold * all
    }

    private mutating func change(to next: CircuitBreakerPhase, at now: Int64) {
        phase = next
        era += 1
        history = []
        probes = [:]
        switch next {
        case .closed: failedRounds = 0
        case .open:
            let seconds = min(
                policy.openDuration.inSeconds * pow(2, Double(failedRounds)), policy.maximumOpenDuration.inSeconds)
            ends = now + Int64(seconds * 1e9)
            failedRounds += 1
        case .halfOpen: ends = now + policy.maximumDurationInHalfOpenState.wholeNanoseconds
        }
    }
}

@Suite struct CircuitBreakerModelTests {
    @Test(arguments: 0..<40 as Range<UInt64>)
    func behavesLikeTheNaiveBreaker(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var policy = CircuitBreakerPolicy()
        policy.openDurationJitter = 0
        policy.window =
            Bool.random(using: &random)
            ? .calls(.random(in: 1...30, using: &random)) : .time(.seconds(.random(in: 5...20, using: &random)))
        policy.failureRateThreshold = [0.2, 0.25, 0.5, 0.75, 1].randomElement(using: &random) ?? 0.5
        policy.minimumNumberOfCalls = .random(in: 1...10, using: &random)
        policy.slowCallDurationThreshold = Bool.random(using: &random) ? .seconds(2) : nil
        policy.slowCallRateThreshold = [0.25, 0.5, 1].randomElement(using: &random) ?? 0.5
        policy.consecutiveConnectFailures = Bool.random(using: &random) ? .random(in: 1...6, using: &random) : nil
        policy.permittedNumberOfCallsInHalfOpenState = .random(in: 1...5, using: &random)
        var breaker = CircuitBreakerState(policy: policy, seed: seed)
        var naive = NaiveBreaker(policy: policy)
        var open: [(token: CircuitBreakerState.Token, call: (call: Int, era: Int), since: Int64)] = []
        var now: Int64 = 0
        var phases: Set<CircuitBreakerPhase> = []
        for step in 0..<2_500 {
            now += Int64.random(in: 0...400_000_000, using: &random)
            if Int.random(in: 0..<1_000, using: &random) == 0 { now += 60_000_000_000 }
            if open.count < 8, Bool.random(using: &random) {
                let expected = naive.admit(at: now)
                switch breaker.admit(at: MonotonicTime(nanoseconds: now)).verdict {
                case .permitted(let token):
                    guard let expected else {
                        Issue.record("let a call through at \(now) that it should refuse")
                        return
                    }
                    open.append((token, expected, now))
                case .rejected: #expect(expected == nil)
                }
            } else if !open.isEmpty {
                let index = Int.random(in: 0..<open.count, using: &random)
                // Some calls never come back.
                let ended = open.remove(at: index)
                if Int.random(in: 0..<100, using: &random) == 0 { continue }
                // The callee is mostly well and mostly sick by turns.
                let sick = Double.random(in: 0..<1, using: &random) < (step / 150 % 2 == 0 ? 0.1 : 0.9)
                let bad: CallOutcome = Int.random(in: 0..<3, using: &random) == 0 ? .connectFailure : .failure
                let outcome: CallOutcome =
                    Int.random(in: 0..<20, using: &random) == 0 ? .ignored : (sick ? bad : .success)
                let slow = policy.slowCallDurationThreshold.map { now - ended.since >= $0.wholeNanoseconds } ?? false
                _ = breaker.record(outcome, of: ended.token, at: MonotonicTime(nanoseconds: now))
                naive.record(outcome, call: ended.call, slow: slow, at: now)
            }
            #expect(breaker.phase == naive.phase)
            phases.insert(breaker.phase)
        }
        #expect(phases == [.closed, .open, .halfOpen], "the run must see every phase to mean anything")
    }
}
