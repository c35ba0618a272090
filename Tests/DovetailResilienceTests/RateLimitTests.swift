import DovetailCore
import DovetailResilience
import Testing

@Suite struct RateLimitTests {
    @Test(arguments: [
        ("100/s", RateLimit(100, per: .seconds(1))),
        ("5/min", RateLimit(5, per: .seconds(60))),
        ("1000/h", RateLimit(1_000, per: .seconds(3_600))),
        ("30/10s", RateLimit(30, per: .seconds(10))),
        ("1/250ms", RateLimit(1, per: .milliseconds(250))),
        ("100/s burst 20", RateLimit(100, per: .seconds(1), burst: 20)),
    ])
    func isWrittenAndReadAsText(text: String, limit: RateLimit) throws {
        #expect(try RateLimit(parsing: text) == limit)
        #expect(limit.description == text)
    }

    @Test func takesABurstThatIsWrittenApart() throws {
        #expect(try RateLimit(parsing: "100/s", burst: 200) == RateLimit(100, per: .seconds(1), burst: 200))
    }

    @Test(arguments: [
        "", "100", "100/", "/s", "-1/s", "0/s", "100/fortnight", "100/s burst", "100/s burst 0", "100/s burst x",
        "1/0s", "99999999999999999999/s", "1/9999999999d", "1/d burst 9223372036854775807", "1/s/s",
    ])
    func refusesWhatIsNoLimit(text: String) {
        #expect(throws: RateLimitSyntaxError.self) { try RateLimit(parsing: text) }
    }
}

@Suite struct GCRATests {
    @Test func letsTheBurstThroughAndThenTheRate() {
        var bucket = GCRA(RateLimit(10, per: .seconds(1), burst: 3))
        #expect((0..<5).map { _ in bucket.decide(at: .at(.zero)).allowed } == [true, true, true, false, false])
        let refused = bucket.decide(at: .at(.milliseconds(40)))
        #expect(!refused.allowed)
        #expect(refused.retryAfter == .milliseconds(60))
        #expect(refused.resetAfter == .milliseconds(260))
        #expect(refused.remaining == 0)
        #expect(bucket.decide(at: .at(.milliseconds(100))).allowed)
        #expect(!bucket.decide(at: .at(.milliseconds(199))).allowed)
        #expect(bucket.decide(at: .at(.milliseconds(200))).allowed)
    }

    @Test func tellsWhatIsLeft() {
        var bucket = GCRA(RateLimit(10, per: .seconds(1), burst: 3))
        #expect(bucket.decide(cost: 0, at: .at(.zero)).remaining == 3)
        #expect(bucket.decide(cost: 2, at: .at(.zero)).remaining == 1)
        let looked = bucket.decide(cost: 0, at: .at(.milliseconds(150)))
        #expect(looked.allowed)
        #expect(looked.remaining == 2)
        #expect(looked.resetAfter == .milliseconds(50))
    }

    @Test func aRefusalUsesNothingUp() {
        var bucket = GCRA(RateLimit(1, per: .seconds(1)))
        #expect(bucket.decide(at: .at(.zero)).allowed)
        for step in 1..<1_000 { #expect(!bucket.decide(at: .at(.milliseconds(step))).allowed) }
        #expect(bucket.decide(at: .at(.seconds(1))).allowed)
    }

    @Test func aCostAboveTheBurstNeverPasses() {
        var bucket = GCRA(RateLimit(10, per: .seconds(1), burst: 3))
        #expect(!bucket.decide(cost: 4, at: .at(.zero)).allowed)
        #expect(!bucket.decide(cost: .max, at: .at(.seconds(1_000_000))).allowed)
        #expect(bucket.decide(cost: 3, at: .at(.zero)).allowed)
    }

    @Test func aNegativeCostGivesNothingBack() {
        var bucket = GCRA(RateLimit(1, per: .seconds(1)))
        #expect(bucket.decide(at: .at(.zero)).allowed)
        #expect(bucket.decide(cost: -5, at: .at(.zero)).remaining == 0)
        #expect(!bucket.decide(at: .at(.zero)).allowed)
    }

    @Test func withstandsTimeThatJumps() {
        var bucket = GCRA(RateLimit(1, per: .seconds(1)))
        for nanoseconds in [0, .max, .min, 0, .max, 5] as [Int64] {
            _ = bucket.decide(at: MonotonicTime(nanoseconds: nanoseconds))
        }
        #expect(!bucket.decide(at: .at(.seconds(1))).allowed)
    }

    /// In any stretch of time `t` no more than `burst + t · rate` passes, and not much less under load.
    @Test(arguments: 0..<40 as Range<UInt64>)
    func neverAdmitsMoreThanBurstPlusRate(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let limit = RateLimit(
            .random(in: 1...2_000, using: &random), per: .milliseconds(.random(in: 1...5_000, using: &random)),
            burst: .random(in: 1...50, using: &random))
        let interval = limit.period.inSeconds / Double(limit.count)
        var bucket = GCRA(limit)
        var now: Int64 = 0
        var admitted: [(time: Int64, cost: Int)] = []
        var refusedLast = false
        for _ in 0..<2_000 {
            now += Int64(.random(in: 0...(2 * interval), using: &random) * 0.7e9)
            let cost = Int.random(in: 1...min(3, limit.burst), using: &random)
            let decision = bucket.decide(cost: cost, at: MonotonicTime(nanoseconds: now))
            if decision.allowed {
                admitted.append((now, cost))
            } else {
                // What it says about the wait is exact: at that moment it would pass, a nanosecond sooner it would not.
                var early = bucket
                var due = bucket
                let at = now + decision.retryAfter.wholeNanoseconds
                #expect(!early.decide(cost: cost, at: MonotonicTime(nanoseconds: at - 1)).allowed)
                #expect(due.decide(cost: cost, at: MonotonicTime(nanoseconds: at)).allowed)
            }
            refusedLast = refusedLast || !decision.allowed
        }
        #expect(refusedLast, "the load must exceed the limit for this test to mean anything")
        for first in stride(from: 0, to: admitted.count, by: 7) {
            var sum = 0
            for last in first..<admitted.count {
                sum += admitted[last].cost
                let elapsed = Double(admitted[last].time - admitted[first].time) / 1e9
                #expect(Double(sum) <= Double(limit.burst) + elapsed / interval + 1e-6)
            }
        }
    }
}
