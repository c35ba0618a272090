import DovetailCore
import Testing

@testable import DovetailResilience

@Suite struct RateLimiterTests {
    @Test func eachKeyHasTheLimitForItself() {
        let limiter = RateLimiter(RateLimit(2, per: .seconds(1)))
        let names = ["a", "b", "a", "a", "b", "b"]
        #expect(names.map { limiter.take($0, at: .at(.zero)).allowed } == [true, true, true, false, true, false])
    }

    @Test func equalBytesAreTheSameKey() {
        let text = "10.0.0.1"
        let parts = "from=10.0.0.1".split(separator: "=")
        #expect(RateLimitKey(text) == RateLimitKey(parts[1]))
        #expect(RateLimitKey(text) == Array(text.utf8).withUnsafeBytes { RateLimitKey(bytes: $0) })
        #expect(RateLimitKey(text) != RateLimitKey("10.0.0.2"))
    }

    @Test func admitsExactlyTheBurstToAHundredTasks() async {
        let limiter = RateLimiter(RateLimit(1_000, per: .seconds(3_600), burst: 700))
        let admitted = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<100 {
                group.addTask {
                    (0..<50).reduce(0) { sum, _ in sum + (limiter.take("one", at: .at(.zero)).allowed ? 1 : 0) }
                }
            }
            return await group.reduce(0, +)
        }
        #expect(admitted == 700)
    }

    /// Against a plain dictionary of buckets, with keys coming and going and the table growing under them.
    @Test(arguments: 0..<6 as Range<UInt64>)
    func decidesLikeABucketPerKey(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let limit = RateLimit(3, per: .seconds(1))
        let limiter = RateLimiter(limit)
        var reference: [Int: GCRA] = [:]
        var now = MonotonicTime(nanoseconds: 0)
        for _ in 0..<12_000 {
            now = now + .microseconds(Int.random(in: 0...200, using: &random))
            let key = Int.random(in: 0..<4_000, using: &random) / .random(in: 1...4, using: &random)
            let expected = reference[key, default: GCRA(limit)].decide(at: now)
            let decision = limiter.take("key-\(key)", at: now)
            #expect(decision.allowed == expected.allowed)
            #expect(decision.remaining == expected.remaining)
            #expect(decision.retryAfter == expected.retryAfter)
        }
        #expect(limiter.forgotten == 0)
    }

    @Test func staysExactUpToItsSize() {
        let limiter = RateLimiter(RateLimit(1, per: .seconds(60)), maximumKeys: 65_536)
        let keys = (0..<60_000).map { RateLimitKey("key \($0)") }
        for key in keys { #expect(limiter.take(key, at: .at(.zero)).allowed) }
        let again = keys.count { limiter.take($0, at: .at(.seconds(1))).allowed }
        #expect(again <= 60)
        #expect(limiter.forgotten <= 60)
    }

    @Test func aFloodOfNewNamesPushesOutNewNamesAndNotTheCallersAtTheirLimit() {
        let limiter = RateLimiter(RateLimit(10, per: .seconds(60)), maximumKeys: 1_024)
        let heavy = (0..<50).map { RateLimitKey("heavy \($0)") }
        for key in heavy { for _ in 0..<10 { _ = limiter.take(key, at: .at(.zero)) } }
        for number in 0..<100_000 { #expect(limiter.take("flood \(number)", at: .at(.milliseconds(1))).allowed) }
        #expect(limiter.forgotten > 0)
        for key in heavy { #expect(!limiter.take(key, at: .at(.milliseconds(2))).allowed) }
    }

    @Test func reusesTheRoomOfKeysThatAreWholeAgain() {
        let limiter = RateLimiter(RateLimit(1, per: .seconds(1)), maximumKeys: 1_024)
        for round in 0..<200 {
            for number in 0..<200 { _ = limiter.take("\(round) \(number)", at: .at(.seconds(2 * round))) }
        }
        #expect(limiter.forgotten == 0)
    }
}
