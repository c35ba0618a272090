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
                timer.fire()
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
        let due = wheel.advance(to: 510_000_000)
        #expect(due.count == 1)
        due.first?.fire()
        #expect(!timer.isScheduled)
        #expect(wheel.count == 0)
        wheel.schedule(timer, at: 9_000_000_000)
        wheel.schedule(timer, at: 800_000_000)
        #expect(wheel.advance(to: 810_000_000).count == 1, "an earlier time counts at once")
    }

    @Test func aTimerThatIsDisarmedDoesNotFireAndCanBeSetAgain() {
        var wheel = TimerWheel(now: 0)
        let timer = WheelTimer()
        wheel.schedule(timer, at: 50_000_000)
        wheel.disarm(timer)
        #expect(!timer.isScheduled)
        wheel.schedule(timer, at: 70_000_000)
        wheel.disarm(timer)
        #expect(wheel.advance(to: 100_000_000).isEmpty)
        #expect(wheel.count == 0)
        wheel.schedule(timer, at: 150_000_000)
        #expect(wheel.advance(to: 160_000_000).count == 1)
    }

    /// What one timer does as it fires may be the end of another that fires at the same time.
    @Test func aTimerThatIsCancelledOrMovedByAnotherDoesNotFire() {
        var wheel = TimerWheel(now: 0)
        var fired = 0
        let timers = (0..<3).map { _ in WheelTimer() }
        for timer in timers {
            timer.onFire = { fired += 1 }
            wheel.schedule(timer, at: 50_000_000)
        }
        let due = wheel.advance(to: 60_000_000)
        #expect(due.count == 3)
        due[0].fire()
        wheel.cancel(due[1])
        wheel.schedule(due[2], at: 500_000_000)
        due[1].fire()
        due[2].fire()
        #expect(fired == 1)
        for timer in wheel.advance(to: 600_000_000) { timer.fire() }
        #expect(fired == 2)
    }
}
