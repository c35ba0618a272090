import DovetailCore

/// The keeper does what falls due (retries, deadlines), fetches what blocked keys wait for, and writes what has changed.
extension SubscriptionRunner {
    func keep() async throws {
        while !Task.isCancelled {
            let now = clock.now
            let reached = dispatcher.reached(index)
            let (loads, flushes, epoch, wake) = shell.withLock { shell in
                if let reached, shell.isJoined { _ = shell.machine?.accept(EmptyCollection(), scanned: reached) }
                takeBackRuns(&shell, olderThan: SubscriptionRunner.longestRun)
                for lane in shell.machine?.takeOverdue(now: now, jitter: { .random(in: 0...1) }) ?? [] {
                    shell.lanes[lane]?.cancel()
                    addLane(&shell)
                }
                let loads = shell.machine?.takeLoads(now: now) ?? []
                let isIdleDue =
                    now - shell.writtenAt >= SubscriptionRunner.idleInterval
                    && (shell.machine?.scanned ?? 0) > shell.writtenScanned
                let flushes = isIdleDue || !loads.isEmpty || shell.flushDue.map { $0 <= now } ?? false
                return (loads, flushes, shell.epoch, afterChange(&shell))
            }
            wake.perform()
            var remaining = loads
            do {
                try await grow(now)
                if flushes { try await flush() }
                while let load = remaining.first {
                    try await perform(load, epoch: epoch)
                    remaining.removeFirst()
                }
                shell.withLock { $0.problem = nil }
            } catch is DeliveryStore.Fenced {
                // Another life has begun behind its back: it goes on in that one.
                try await adopt(try await store.load(start: 0))
            } catch let error as LogError where error.mayPass {
                // The rows wait in memory, bounded; deliveries go on until they are full.
                shell.withLock { [remaining] shell in
                    shell.problem = error.description
                    guard shell.epoch == epoch else { return }
                    for load in remaining { shell.machine?.putBack(load) }
                }
                try await clock.sleep(for: .seconds(1))
            }
            let wakeTime = shell.withLock { shell in
                // A run of many may turn out slow.
                let slow = shell.runs.values.contains(where: \.hasMore) ? now + SubscriptionRunner.longestRun : nil
                return [
                    shell.flushDue, shell.machine?.nextDue, slow, shell.carefulUntil,
                    now + SubscriptionRunner.idleInterval,
                ].compactMap {
                    $0
                }.min()
            }
            await keeperSignal.wait(until: wakeTime ?? now, clock)
        }
    }

    /// Leaves its carefulness, and its past, behind when their time is over.
    private func grow(_ now: MonotonicTime) async throws {
        let (isCleared, wake) = shell.withLock { shell in
            if let until = shell.carefulUntil, until <= now {
                shell.carefulUntil = nil
                while shell.lanes.count < subscription.concurrency { addLane(&shell) }
            }
            return (shell.isClearedAt.map { $0 <= now } ?? false, afterChange(&shell))
        }
        wake.perform()
        guard isCleared else { return }
        try await store.clear(isRunning: true)
        shell.withLock { $0.isClearedAt = nil }
    }

    /// Writes what has changed, in one transaction.
    func flush() async throws {
        let taken = shell.withLock { shell -> (changes: DeliveryChanges, epoch: Int, waiters: [Ticket<Void>])? in
            shell.flushDue = nil
            guard let changes = shell.machine?.takeChanges() else { return nil }
            defer { shell.flushWaiters = [] }
            return (changes, shell.epoch, shell.flushWaiters)
        }
        guard let (changes, epoch, waiters) = taken else { return }
        do {
            try await store.write(changes, epoch: epoch)
            let wake = shell.withLock { shell -> Wake in
                guard shell.epoch == epoch else { return Wake() }
                shell.machine?.written()
                shell.writtenScanned = changes.scanned
                shell.writtenAt = clock.now
                return afterChange(&shell)
            }
            wake.perform()
            for waiter in waiters { waiter.fulfil(.success(())) }
        } catch let error {
            for waiter in waiters { waiter.fulfil(.failure(error)) }
            let isFenced = shell.withLock { shell in
                if shell.epoch != epoch { return true }
                shell.machine?.notWritten(changes)
                return false
            }
            if isFenced, error is DeliveryStore.Fenced { return }
            throw error
        }
    }

    private func perform(_ load: DeliveryState.Load, epoch: Int) async throws {
        let wake: Wake
        switch load {
        case .event(let key, let position):
            let letter = try await store.letter(at: position)
            let event =
                if let letter { try await event(of: letter) } else { try await store.event(at: position) }
            wake = shell.withLock { shell in
                guard shell.epoch == epoch else { return Wake() }
                shell.machine?.fetched(event.map(Envelope.init), for: key)
                return afterChange(&shell)
            }
        case .held(let key):
            guard case .key(let text) = key else { return }
            var held: [Envelope] = []
            var missing: [Int64] = []
            for position in try await store.held(key: text, limit: 64) {
                if let event = try await store.event(at: position) {
                    held.append(Envelope(event))
                } else {
                    missing.append(position)
                }
            }
            wake = shell.withLock { [held, missing] shell in
                guard shell.epoch == epoch else { return Wake() }
                shell.machine?.fetched(held: held, missing: missing, for: key)
                return afterChange(&shell)
            }
        }
        wake.perform()
    }
}
