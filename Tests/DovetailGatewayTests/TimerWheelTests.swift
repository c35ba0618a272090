import DovetailCore
import Testing

@testable import DovetailGateway

struct TimerWheelTests {
    @Test func firesEachTimerOnceAndNeverEarly() {
        var random = SeededGenerator(seed: 9)
        var wheel = TimerWheel(now: 0)
        var now: Int64 = 0
        var dueAt: [ObjectIdentifier: Int64] = [:]
        var timers: [WheelTimer] = []
        for _ in 0..<5000 {
            if random.next() % 2 == 0 {
                let timer = WheelTimer()
                let time = now + Int64(random.next() % 20_000_000_000)
                timers.append(timer)
                wheel.schedule(timer, at: time)
                dueAt[ObjectIdentifier(timer)] = time
            }
            if random.next() % 8 == 0, let timer = timers.randomElement(using: &random) {
                wheel.cancel(timer)
                dueAt[ObjectIdentifier(timer)] = nil
            }
            now += Int64(random.next() % 60_000_000)
            for timer in wheel.advance(to: now) {
                guard let time = dueAt.removeValue(forKey: ObjectIdentifier(timer)) else {
                    Issue.record("fired twice, or after it was cancelled")
                    continue
                }
                #expect(time <= now)
                #expect(now - time < 60_000_000 + 2 * TimerWheel.tickLength)
            }
            #expect(wheel.count == dueAt.count)
        }
        now += 30_000_000_000
        #expect(wheel.advance(to: now).count == dueAt.count)
        #expect(wheel.count == 0)
    }

    @Test func movesATimerThatIsSetAgain() {
        var wheel = TimerWheel(now: 0)
        let timer = WheelTimer()
        wheel.schedule(timer, at: 50_000_000)
        wheel.schedule(timer, at: 500_000_000)
        #expect(wheel.advance(to: 100_000_000).isEmpty)
        #expect(wheel.advance(to: 510_000_000).count == 1)
        #expect(!timer.isScheduled)
    }
}
