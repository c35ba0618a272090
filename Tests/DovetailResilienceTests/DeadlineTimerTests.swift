import DovetailCore
import Testing

@testable import DovetailResilience

@Suite(.timeLimit(.minutes(1))) struct DeadlineTimerTests {
    /// Each deadline is told of in the step of time that passes it; none that was called off ever is.
    @Test(arguments: 0..<8 as Range<UInt64>)
    func firesWhatIsDueAndNothingElse(seed: UInt64) async {
        var random = SeededGenerator(seed: seed)
        let clock = ManualClock()
        let timer = DeadlineTimer.on(clock)
        let fired = Counter()
        var waiting: [(deadline: MonotonicTime, entry: DeadlineTimer.Entry, latch: Latch)] = []
        var expected = 0
        for _ in 0..<300 {
            for _ in 0..<Int.random(in: 0...6, using: &random) {
                let deadline = clock.now + .nanoseconds(Int64.random(in: 1...200_000_000, using: &random))
                let latch = Latch()
                let entry = timer.schedule(at: deadline) {
                    fired.add()
                    latch.signal()
                }
                waiting.append((deadline, entry, latch))
            }
            while waiting.count > 5, Bool.random(using: &random) {
                timer.cancel(waiting.remove(at: .random(in: 0..<waiting.count, using: &random)).entry)
            }
            clock.advance(by: .milliseconds(Int.random(in: 1...20, using: &random)))
            // Time stands at a whole millisecond here, so that what has passed is due.
            let due = waiting.filter { $0.deadline <= clock.now }
            waiting.removeAll { $0.deadline <= clock.now }
            for deadline in due { await deadline.latch.wait() }
            expected += due.count
            #expect(fired.value == expected)
        }
        #expect(expected > 100)
        for deadline in waiting { timer.cancel(deadline.entry) }
        clock.advance(by: .seconds(10))
        #expect(fired.value == expected)
    }

    @Test(arguments: 0..<20 as Range<UInt64>)
    func aHeapGivesTheSmallestFirst(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var heap = MinimumHeap()
        var reference: [Int64] = []
        for _ in 0..<500 {
            if Int.random(in: 0..<3, using: &random) > 0 {
                let number = Int64.random(in: -50...50, using: &random)
                heap.insert(number)
                reference.append(number)
                reference.sort()
            } else if !reference.isEmpty {
                heap.removeFirst()
                reference.removeFirst()
            }
            #expect(heap.first == reference.first)
        }
    }
}
