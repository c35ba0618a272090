import DovetailCore
import Logging

/// The feeder reads the log until the subscription has caught up; then the dispatcher brings what is new, until the window is full.
extension SubscriptionRunner {
    /// Takes in events that the dispatcher found for it; false if there was no room for all.
    func accept(_ envelopes: [Envelope], scanned: Int64) -> (wake: Wake, hasRoom: Bool) {
        shell.withLock { shell in
            // After a seek it is elsewhere, whatever the dispatcher still believes.
            guard shell.isJoined else { return (Wake(), false) }
            shell.isJoined = shell.machine?.accept(envelopes, scanned: scanned) ?? false
            return (afterChange(&shell), shell.isJoined)
        }
    }

    /// The dispatcher brings nothing any more.
    func dismissed() -> Wake {
        shell.withLock { shell in
            shell.isJoined = false
            var wake = afterChange(&shell)
            wake.feeder = feederSignal
            return wake
        }
    }

    /// Reads the log until the subscription has caught up with it, and again whenever it has fallen behind.
    func feed() async throws {
        var failures = 0
        while !Task.isCancelled {
            let (scanned, room, epoch) = shell.withLock { shell in
                let room = shell.isJoined ? 0 : shell.machine?.room ?? 0
                if room == 0, !shell.isJoined { shell.machine?.awaitRoom() }
                return (shell.machine?.scanned ?? 0, room, shell.epoch)
            }
            if room == 0 {
                await feederSignal.wait()
                continue
            }
            let envelopes: [Envelope]
            let end: Int64
            let limit = min(512, room)
            switch dispatcher.pull(index, after: scanned, limit: limit, join: { join(epoch) }) {
            case .joined:
                continue
            case .recent(let recent, let scanned):
                envelopes = recent.filter { interest.wants($0.event) }
                end = scanned
            case .behind:
                let page: EventPage
                do {
                    page = try await log.events(after: scanned, types: interest.types, limit: limit)
                    failures = 0
                    shell.withLock { $0.readingProblem = nil }
                } catch let error as LogError where error.mayPass {
                    failures += 1
                    try await hesitate(failures, because: error)
                    continue
                }
                envelopes = page.events.lazy.filter(interest.wants).map(Envelope.init)
                end = page.scanned
            }
            let wake = shell.withLock { shell -> Wake in
                // A seek in between has begun elsewhere.
                guard shell.epoch == epoch else { return Wake() }
                _ = shell.machine?.accept(envelopes, scanned: end)
                return afterChange(&shell)
            }
            wake.perform()
        }
    }

    /// Does something with the log until it succeeds: one that fails for a while, or in one place, must not end the others. Throws when there is no sense in trying again.
    func persistently<Value>(_ body: () async throws -> Value) async throws -> Value {
        var failures = 0
        while true {
            do {
                let value = try await body()
                shell.withLock { $0.readingProblem = nil }
                return value
            } catch let error as LogError where error.mayPass {
                failures += 1
                try await hesitate(failures, because: error)
            }
        }
    }

    /// Says what keeps it from its events, and waits a while: the longer, the more often it has tried.
    private func hesitate(_ failures: Int, because error: LogError) async throws {
        try Task.checkCancellation()
        shell.withLock { $0.readingProblem = error.description }
        if failures == 1 {
            Logger(label: "dovetail.events").error(
                "a subscription cannot read its events; it tries again",
                metadata: ["subscription": "\(subscription.name)", "error": "\(error)"])
        }
        await feederSignal.wait(until: clock.now + .milliseconds(min(30_000, 50 << min(failures, 10))), clock)
    }

    /// Lets the dispatcher bring the events, unless a seek has come in between.
    private func join(_ epoch: Int) -> Bool {
        shell.withLock { shell in
            guard shell.epoch == epoch, shell.machine?.isStopped == false else { return false }
            shell.isJoined = true
            return true
        }
    }
}
