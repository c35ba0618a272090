import DovetailCore
import DovetailResilience
import Testing

@Suite struct AdaptiveLimitTests {
    private func time(_ milliseconds: Int) -> MonotonicTime {
        MonotonicTime(nanoseconds: Int64(milliseconds) * 1_000_000)
    }

    /// A callee that takes `capacity` calls at once and lets the others wait in its own queue; callers that use whatever the limit is.
    private func run(
        _ limit: inout AdaptiveLimitState, windows: Int, from start: Int, capacity: Double, base: Double = 10,
        demand: Int = .max
    ) -> Int {
        var now = start
        for _ in 0..<windows {
            let inFlight = min(limit.limit, demand)
            let latency = Duration.nanoseconds(Int64(base * max(1, Double(inFlight) / capacity) * 1e6))
            for sample in 0..<20 {
                _ = limit.ended(after: latency, inFlight: inFlight, at: time(now + sample * 6))
            }
            now += 120
        }
        return now
    }

    @Test func findsWhatACalleeTakesAndFollowsWhenThatChanges() {
        var limit = AdaptiveLimitState(policy: .init())
        var now = run(&limit, windows: 150, from: 0, capacity: 100)
        #expect((100...220).contains(limit.limit), "\(limit.limit)")
        let before = limit.limit
        // The callee loses three quarters of itself.
        now = run(&limit, windows: 40, from: now, capacity: 25)
        #expect(limit.limit < before / 2, "\(limit.limit)")
        now = run(&limit, windows: 300, from: now, capacity: 100)
        #expect(limit.limit > 100, "\(limit.limit)")
    }

    @Test func doesNotGrowWhileItIsNotUsed() {
        var limit = AdaptiveLimitState(policy: .init(initial: 50))
        _ = run(&limit, windows: 100, from: 0, capacity: 1000, demand: 10)
        #expect(limit.limit == 50)
        _ = run(&limit, windows: 100, from: 100_000, capacity: 1000)
        #expect(limit.limit > 60)
    }

    @Test func sinksWhenCallsAreLostAndStaysWithinItsBounds() {
        var limit = AdaptiveLimitState(policy: .init(initial: 100, minimum: 7, maximum: 120))
        for sample in 0..<5000 {
            _ = limit.ended(
                after: sample.isMultiple(of: 5) ? nil : .milliseconds(10), inFlight: limit.limit, at: time(sample * 10))
        }
        #expect(limit.limit == 7)
        for sample in 5000..<200_000 {
            _ = limit.ended(after: .milliseconds(10), inFlight: limit.limit, at: time(sample * 10))
        }
        #expect(limit.limit == 120)
    }

    @Test func changesNothingWithinAWindowNorByAFewSamples() {
        var limit = AdaptiveLimitState(policy: .init(minimumSamples: 10))
        func hasChanged(at milliseconds: Int) -> Bool { limit.ended(after: nil, inFlight: 20, at: time(milliseconds)) }
        for _ in 0..<100 { #expect(!hasChanged(at: 5)) }
        #expect(hasChanged(at: 200))
        for sample in 0..<9 { #expect(!hasChanged(at: 1000 + sample)) }
    }

    @Test func whoWaitsGetsThePlacesThatAreAddedAndNobodyLosesOne() {
        var state = BulkheadState(policy: .init(maximumConcurrentCalls: 2, maximumQueuedCalls: 4))
        let entries = (1...5).map { state.enter(UInt64($0)) }
        #expect(entries == [.admitted, .admitted, .queued, .queued, .queued])
        #expect(state.resize(to: 4) == [3, 4])
        #expect(state.active == 4)
        #expect(state.resize(to: 1) == [])
        #expect(state.active == 4, "those that have a place keep it")
        for _ in 0..<3 { #expect(state.leave() == nil) }
        #expect(state.active == 1, "their places are gone")
        #expect(state.leave() == 5)
        #expect(state.queued == 0)
    }
}
