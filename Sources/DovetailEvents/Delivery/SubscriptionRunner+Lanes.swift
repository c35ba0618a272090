import DovetailCore
import ServiceContextModule

/// A lane is a task that handles one event after the other without a task or a hop in between, and asks for more at the end of each ``LaneRun``. A lane whose
/// handler does not return in time is cancelled and replaced.
extension SubscriptionRunner {
    /// A lane asks again after about so long, and after so many attempts at most.
    private static let runTime = Duration.microseconds(500)
    private static let longestRunLength = 64

    func addLane(_ shell: inout Shell) {
        shell.nextLane += 1
        let lane = shell.nextLane
        shell.lanes[lane] = Task {
            while let run = await nextRun(for: lane) {
                var attempt = run.first()
                while let current = attempt {
                    var error: (any Error)?
                    if run.isCareful { error = await suspicion(of: current) }
                    if error == nil { error = await handle(current) }
                    // A failure is told at once; a lane that was cancelled begins nothing more.
                    attempt = run.next(after: error, goesOn: error == nil && !Task.isCancelled)
                }
            }
            let drained = self.shell.withLock { shell -> CheckedContinuation<Void, Never>? in
                shell.lanes[lane] = nil
                guard shell.lanes.isEmpty else { return nil }
                defer { shell.drained = nil }
                return shell.drained
            }
            drained?.resume()
        }
    }

    /// Calls the handler in the event's own context; the error, if it fails.
    private func handle(_ attempt: DeliveryState.Attempt) async -> (any Error)? {
        let envelope = attempt.envelope
        if envelope.event.hasExpired { return nil }
        var context = envelope.context
        context.deadline = attempt.deadline
        do {
            if context.trace.isEmpty {
                try await call(attempt, context)
            } else {
                try await ServiceContext.$current.withValue(context.trace) { try await call(attempt, context) }
            }
            return nil
        } catch {
            return error
        }
    }

    /// Notes the event as the one that is tried, and gives up on one over which the process has ended too often.
    private func suspicion(of attempt: DeliveryState.Attempt) async -> (any Error)? {
        let position = attempt.envelope.position
        let deaths = shell.withLock { $0.past.deaths[position] ?? 0 }
        if deaths >= SubscriptionRunner.mostDeaths { return ProcessEnded(times: deaths) }
        do {
            try await store.suspect(position)
            return nil
        } catch {
            return error
        }
    }

    private func call(_ attempt: DeliveryState.Attempt, _ context: CallContext) async throws {
        try await CallContext.$current.withValue(context) {
            switch subscription.handler {
            case .atLeastOnce(let handler):
                let delivery = Delivery(
                    subscription: subscription.name, attempt: attempt.number, deadline: attempt.deadline)
                try await handler(attempt.envelope.event, delivery)
            case .atMostOnce(let handler):
                await handler(attempt.envelope.event)
            case .effectivelyOnce:
                preconditionFailure("an effectively-once subscription is run by its reader")
            }
        }
    }

    /// Settles what the lane has done and gives it more; nil when the lane is to end.
    private func nextRun(for lane: Lane) async -> LaneRun? {
        let isCancelled = Task.isCancelled
        let (run, ends, wake): (LaneRun?, Bool, Wake) = shell.withLock { shell in
            var failed = false
            if let run = shell.runs.removeValue(forKey: lane) {
                adapt(&shell, to: run)
                failed = settle(run, in: &shell, isCancelled: isCancelled)
            }
            let ends = isCancelled || shell.machine?.isStopped != false
            let run = ends ? nil : giveOut(&shell, to: lane)
            var wake = afterChange(&shell)
            if failed { wake.keeper = keeperSignal }
            return (run, ends, wake)
        }
        wake.perform()
        if run != nil || ends { return run }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let (run, resumes): (LaneRun?, Bool) = shell.withLock { shell in
                    if Task.isCancelled || shell.machine?.isStopped != false { return (nil, true) }
                    if let run = giveOut(&shell, to: lane) { return (run, true) }
                    shell.idle.append((lane, continuation))
                    return (nil, false)
                }
                if resumes { continuation.resume(returning: run) }
            }
        } onCancel: {
            let continuation = shell.withLock { shell -> CheckedContinuation<LaneRun?, Never>? in
                guard let index = shell.idle.firstIndex(where: { $0.lane == lane }) else { return nil }
                return shell.idle.remove(at: index).continuation
            }
            continuation?.resume(returning: nil)
        }
    }

    /// The next attempts for a lane; nil if nothing is ready.
    func giveOut(_ shell: inout Shell, to lane: Lane) -> LaneRun? {
        let now = clock.now
        let isCareful = shell.carefulUntil != nil
        let length = min(isCareful ? 1 : shell.runLength, shell.machine?.readyCount ?? 0)
        guard length > 0 else { return nil }
        var attempts: [DeliveryState.Attempt] = []
        attempts.reserveCapacity(length)
        while attempts.count < length, let attempt = shell.machine?.next(now: now, lane: lane) {
            attempts.append(attempt)
        }
        let run = LaneRun(attempts, start: now, isCareful: isCareful)
        shell.runs[lane] = run
        return run
    }

    /// Lanes ask less often while handlers are quick, and at once more often when one is slow.
    private func adapt(_ shell: inout Shell, to run: LaneRun) {
        let each = (clock.now - run.start).wholeNanoseconds / Int64(max(1, run.count))
        // In a run of many each is short, and their mean is as good.
        shell.counters.durations.add(.nanoseconds(each), times: UInt64(run.count))
        let fitting = Int(SubscriptionRunner.runTime.wholeNanoseconds / max(1, each))
        shell.runLength = max(1, min(fitting, shell.runLength * 4, SubscriptionRunner.longestRunLength))
    }

    /// Tells the machine how a run's attempts ended, and gives it back those that were not begun. True if one has failed.
    private func settle(_ run: LaneRun, in shell: inout Shell, isCancelled: Bool) -> Bool {
        var hasFailed = false
        let untouched = run.account { attempt, error in
            switch error {
            case nil:
                shell.counters.succeeded += 1
                shell.machine?.succeeded(attempt)
            case is CancellationError where shell.machine?.isStopped == true: shell.machine?.abandoned(attempt)
            case .some where isCancelled && shell.machine?.isStopped == true: shell.machine?.abandoned(attempt)
            case .some(let error):
                hasFailed = true
                let error = isCancelled ? HandlerTimeout(timeout: subscription.handlerTimeout) : error
                shell.counters.fail(error)
                shell.machine?.failed(
                    attempt, error, jitter: .random(in: 0...1), now: clock.now)
            }
        }
        for attempt in untouched.reversed() { shell.machine?.returned(attempt) }
        return hasFailed
    }

    /// Takes back what slow lanes have not begun.
    func takeBackRuns(_ shell: inout Shell, olderThan age: Duration) {
        let now = clock.now
        for run in shell.runs.values where run.count > 1 && now - run.start >= age {
            shell.runLength = 1
            _ = settle(run, in: &shell, isCancelled: false)
        }
    }
}
