import DovetailCore
import DovetailResilience
import Testing

@Suite struct BulkheadStateTests {
    @Test func admitsThenQueuesThenRefuses() {
        var state = BulkheadState(policy: BulkheadPolicy(maximumConcurrentCalls: 2, maximumQueuedCalls: 2))
        #expect((0..<5).map { state.enter($0) } == [.admitted, .admitted, .queued, .queued, .full])
        #expect(state.active == 2)
        #expect(state.queued == 2)
    }

    @Test func placesGoToWhoWaitedLongest() {
        var state = BulkheadState(policy: BulkheadPolicy(maximumConcurrentCalls: 1, maximumQueuedCalls: 10))
        for id in 0..<5 as Range<UInt64> { _ = state.enter(id) }
        #expect(state.leave() == 1)
        #expect([state.abandon(3), state.abandon(3), state.abandon(1)] == [true, false, false])
        #expect(state.enter(9) == .queued)
        #expect([state.leave(), state.leave(), state.leave(), state.leave()] == [2, 4, 9, nil])
        #expect(state.active == 0)
        #expect(state.enter(10) == .admitted)
    }
}

@Suite(.timeLimit(.minutes(1))) struct BulkheadTests {
    private let clock = ManualClock()

    private func bulkhead(_ concurrent: Int, queue: Int) -> Bulkhead {
        Bulkhead(
            callee: "orders",
            policy: BulkheadPolicy(maximumConcurrentCalls: concurrent, maximumQueuedCalls: queue), clock: clock)
    }

    @Test func neverHasMoreThanItsNumberUnderWay() async throws {
        let bulkhead = bulkhead(7, queue: 1_000)
        let active = Counter()
        let worst = Collector<Int>()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<300 {
                group.addTask {
                    try await bulkhead.withPermit {
                        worst.append(active.add())
                        await Task.yield()
                        active.add(-1)
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(worst.values.count == 300)
        #expect((worst.values.max() ?? 0) <= 7)
        #expect(bulkhead.active == 0)
    }

    @Test func refusesWhenTheQueueIsFull() async throws {
        let bulkhead = bulkhead(1, queue: 0)
        let permit = try await bulkhead.permit()
        let error = await #expect(throws: CallError.self) { try await bulkhead.withPermit {} }
        #expect(error?.code == .bulkheadFull)
        #expect(error?.wasSent == false)
        _ = consume permit
        try await bulkhead.withPermit {}
    }

    @Test func servesTheQueueInOrder() async throws {
        let bulkhead = bulkhead(1, queue: 10)
        let served = Collector<Int>()
        let permit = try await bulkhead.permit()
        var calls: [Task<Void, any Error>] = []
        for number in 0..<5 {
            calls.append(Task { try await bulkhead.withPermit { served.append(number) } })
            while bulkhead.queued <= number { await Task.yield() }
        }
        _ = consume permit
        for call in calls { try await call.value }
        #expect(served.values == [0, 1, 2, 3, 4])
    }

    @Test(arguments: [
        (Duration.milliseconds(300), CallError.Code.deadlineExceeded), (.seconds(20), .bulkheadFull),
    ])
    func waitsNoLongerThanTheCallerAndThePolicyDo(deadline: Duration, code: CallError.Code) async throws {
        let bulkhead = bulkhead(1, queue: 1)
        let permit = try await bulkhead.permit()
        let call = Task { try await bulkhead.withPermit(until: .at(deadline)) {} }
        await clock.sleepers(atLeast: 1)
        clock.advance(by: min(deadline, .seconds(1)))
        let error = await #expect(throws: CallError.self) { try await call.value }
        #expect(error?.code == code)
        #expect(error?.wasSent == false)
        #expect(bulkhead.queued == 0)
        _ = consume permit
        #expect(bulkhead.active == 0)
    }

    @Test func cancellationLeavesTheQueue() async throws {
        let bulkhead = bulkhead(1, queue: 1)
        let permit = try await bulkhead.permit()
        let call = Task { try await bulkhead.withPermit {} }
        await clock.sleepers(atLeast: 1)
        call.cancel()
        await #expect(throws: CancellationError.self) { try await call.value }
        #expect(bulkhead.queued == 0)
        _ = consume permit
        #expect(bulkhead.active == 0)
    }

    /// On the real clock: places are taken, waited for, timed out of, cancelled and thrown out of at random.
    @Test func noPlaceIsEverLost() async {
        let bulkhead = Bulkhead(
            callee: "orders",
            policy: BulkheadPolicy(
                maximumConcurrentCalls: 3, maximumQueuedCalls: 20, maximumQueueWait: .milliseconds(2)))
        await withDiscardingTaskGroup { group in
            for number in 0..<1_000 {
                group.addTask {
                    let call = Task {
                        try await bulkhead.withPermit {
                            try await Task.sleep(for: .microseconds(number % 7 * 50))
                            if number % 5 == 0 { throw Unclassified() }
                        }
                    }
                    if number % 3 == 0 { call.cancel() }
                    _ = await call.result
                }
            }
        }
        #expect(bulkhead.active == 0)
        #expect(bulkhead.queued == 0)
    }
}
