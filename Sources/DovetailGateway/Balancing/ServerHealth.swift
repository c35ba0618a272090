import DovetailCore
import Synchronization

/// Which servers of an upstream may be used, for all loops of a process: what probes say, and what the traffic itself tells.
///
/// A server that failed several times in a row is left out for a while, each time longer; of all no more than a share, so that the others are not given what they
/// cannot carry. The last one is never left out: a bad answer is better than none.
final class ServerHealth: Sendable {
    /// What one server has been doing.
    private struct Record {
        var failures = 0
        var ejections = 0
        var ejectedUntil: Int64 = 0
        /// What probes say; true until they say otherwise.
        var isWell = true
        /// How many probes in a row have said otherwise than that.
        var probesInARow = 0
        /// Since when it gets requests (again), in nanoseconds; nil if it did from the beginning.
        var backSince: Int64?
    }

    /// What a server may be given.
    struct Standing: Equatable {
        var isAvailable: Bool
        /// How much of its share, in thousandths.
        var warmth: Int
    }

    let policy: Upstream.OutlierEjection?
    private let slowStart: Int64
    private let records: Mutex<[Record]>
    private let ejections = Atomic<UInt64>(0)
    /// Whether anything is amiss: as long as nothing is, no loop takes the lock.
    private let isAmiss = Atomic<Bool>(false)

    init(servers: Int, policy: Upstream.OutlierEjection?, slowStart: Duration? = nil) {
        self.policy = policy
        self.slowStart = slowStart?.wholeNanoseconds ?? 0
        records = Mutex(Array(repeating: Record(), count: servers))
    }

    /// Knows of servers what `known` does, where `places` says which each was there; those that were not are new at `now`.
    init(
        continuing known: ServerHealth, places: [Int?], policy: Upstream.OutlierEjection?, slowStart: Duration?,
        at now: Int64
    ) {
        self.policy = policy
        ejections.store(known.ejections.load(ordering: .relaxed), ordering: .relaxed)
        self.slowStart = slowStart?.wholeNanoseconds ?? 0
        let before = known.records.withLock { $0 }
        records = Mutex(
            places.map { place in
                if let place, before.indices.contains(place) { return before[place] }
                var record = Record()
                record.backSince = now
                return record
            })
        isAmiss.store(true, ordering: .relaxed)
    }

    /// Whether every server may be used, as is nearly always so.
    var isFine: Bool { !isAmiss.load(ordering: .relaxed) }

    /// Which servers may be used at `now`; all of them if none could be.
    func available(at now: Int64) -> [Bool] { standings(at: now).map(\.isAvailable) }

    /// What each server may be given at `now`; all are available if none could be.
    func standings(at now: Int64) -> [Standing] {
        records.withLock { records in
            var standings = records.map { record in
                Standing(isAvailable: record.isWell && record.ejectedUntil <= now, warmth: warmth(of: record, at: now))
            }
            if standings.allSatisfy({ $0.isAvailable && $0.warmth == SlowStart.whole }),
                records.allSatisfy({ $0.failures == 0 })
            {
                isAmiss.store(false, ordering: .relaxed)
            }
            if !standings.contains(where: \.isAvailable) {
                for index in standings.indices { standings[index].isAvailable = true }
            }
            return standings
        }
    }

    private func warmth(of record: Record, at now: Int64) -> Int {
        guard slowStart > 0 else { return SlowStart.whole }
        let back = max(record.backSince ?? .min, record.ejectedUntil > 0 ? record.ejectedUntil : .min)
        return back == .min ? SlowStart.whole : SlowStart.warmth(since: back, now: now, over: slowStart)
    }

    /// A request to the server failed: no connection, no answer, or one that says it cannot.
    func failed(_ server: Int, at now: Int64) {
        guard let policy else { return }
        records.withLock { records in
            isAmiss.store(true, ordering: .relaxed)
            records[server].failures += 1
            guard records[server].failures >= policy.consecutiveFailures, records[server].ejectedUntil <= now else {
                return
            }
            let others = records.indices.contains {
                $0 != server && records[$0].isWell && records[$0].ejectedUntil <= now
            }
            // Rounded up: of a few servers the share would be none.
            let most = Int((Double(records.count) * policy.maximumShare).rounded(.up))
            guard others, records.count(where: { $0.ejectedUntil > now }) < most else { return }
            ejections.add(1, ordering: .relaxed)
            records[server].failures = 0
            // Who has done well for as long as it could be left out begins anew.
            if now - records[server].ejectedUntil > policy.longestTime.wholeNanoseconds {
                records[server].ejections = 0
            }
            records[server].ejections = min(records[server].ejections + 1, 1000)
            let time = min(policy.time * records[server].ejections, policy.longestTime)
            records[server].ejectedUntil = now + time.wholeNanoseconds
        }
    }

    /// A request to the server went well.
    func succeeded(_ server: Int) {
        guard !isFine, policy != nil else { return }
        records.withLock { $0[server].failures = 0 }
    }

    /// A probe has ended; tells whether the server's state has changed by it.
    func probed(
        _ server: Int, isWell: Bool, check: Upstream.HealthCheck, at now: Int64 = MonotonicTime.now.nanoseconds
    ) -> Bool {
        records.withLock { records in
            guard records[server].isWell != isWell else {
                records[server].probesInARow = 0
                return false
            }
            records[server].probesInARow += 1
            guard records[server].probesInARow >= (isWell ? check.healthyAfter : check.unhealthyAfter) else {
                return false
            }
            records[server].probesInARow = 0
            records[server].isWell = isWell
            if isWell {
                records[server].ejectedUntil = 0
                records[server].backSince = now
                records[server].failures = 0
            }
            isAmiss.store(true, ordering: .relaxed)
            return true
        }
    }

    /// How many servers get requests at `now`, and how many are left out by probes and by their answers.
    func figures(at now: Int64) -> GatewayMetrics.Servers {
        var figures = GatewayMetrics.Servers()
        records.withLock { records in
            figures.unwell = records.count { !$0.isWell }
            figures.ejected = records.count { $0.isWell && $0.ejectedUntil > now }
            figures.available = records.count - figures.unwell - figures.ejected
        }
        figures.ejections = ejections.load(ordering: .relaxed)
        return figures
    }
}
