import DovetailCore
import DovetailResilience
import Synchronization

/// Bounds the requests in flight to one upstream or by one route, exactly, over all loops.
///
/// Who finds no place may wait in a queue, first come first served. The loops do not wait for each other: a place that becomes free is told to the loop
/// of the request that gets it.
final class InFlightLimit: Sendable {
    /// Told of its place, on any thread.
    typealias Waiter = @Sendable (_ id: UInt64) -> Void

    private struct Shared {
        var state: BulkheadState
        var adaptive: AdaptiveLimitState?
        var waiting: [UInt64: Waiter] = [:]
        var nextID: UInt64 = 0
        /// What an adaptive limit that is only observed would have refused.
        var wouldRefuse: UInt64 = 0
    }

    /// What is known of a limit.
    struct Figures {
        var inFlight: Int
        var limit: Int
        var wouldRefuse: UInt64
    }

    let longestWait: Duration
    /// Whether the limit is found by latencies.
    let isAdaptive: Bool
    private let isEnforced: Bool
    private let shared: Mutex<Shared>

    /// Nil if neither is limited.
    init?(_ policy: InFlightPolicy?, adaptive: AdaptiveInFlightPolicy? = nil) {
        guard policy != nil || adaptive != nil else { return nil }
        var limit = adaptive?.limit
        if let most = policy?.maximum, let known = limit { limit?.maximum = min(known.maximum, most) }
        let found = limit.map { AdaptiveLimitState(policy: $0) }
        isAdaptive = found != nil
        isEnforced = adaptive?.isEnforced ?? true
        longestWait = policy?.longestWait ?? .zero
        var state = BulkheadState(
            policy: BulkheadPolicy(
                maximumConcurrentCalls: policy?.maximum ?? Int.max, maximumQueuedCalls: policy?.maximumWaiting ?? 0,
                maximumQueueWait: longestWait))
        if let found, isEnforced { _ = state.resize(to: found.limit) }
        shared = Mutex(Shared(state: state, adaptive: found))
    }

    /// Takes a place if there is one now.
    func enter() -> InFlightPlace? {
        let isAdmitted = shared.withLock { shared in
            guard shared.state.prospect == .admitted else { return false }
            if !isEnforced, let adaptive = shared.adaptive, shared.state.active >= adaptive.limit {
                shared.wouldRefuse += 1
            }
            shared.nextID += 1
            return shared.state.enter(shared.nextID) == .admitted
        }
        return isAdmitted ? InFlightPlace(self) : nil
    }

    /// Waits for a place, of which `waiter` is told; nil if too many wait already.
    func wait(_ waiter: @escaping Waiter) -> UInt64? {
        let (id, isAdmitted) = shared.withLock { shared -> (UInt64?, Bool) in
            shared.nextID += 1
            switch shared.state.enter(shared.nextID) {
            case .full: return (nil, false)
            case .admitted: return (shared.nextID, true)
            case .queued:
                shared.waiting[shared.nextID] = waiter
                return (shared.nextID, false)
            }
        }
        // One has become free in between.
        if let id, isAdmitted { waiter(id) }
        return id
    }

    /// Waits no longer. Where a place was given already, the waiter is told of it all the same.
    func abandon(_ id: UInt64) {
        shared.withLock { shared in
            if shared.state.abandon(id) { shared.waiting[id] = nil }
        }
    }

    fileprivate func leave() {
        let next = shared.withLock { shared in
            shared.state.leave().flatMap { id in shared.waiting.removeValue(forKey: id).map { (id, $0) } }
        }
        if let (id, waiter) = next { waiter(id) }
    }

    /// An answer has begun after so long; or, with nil, there was none in time or one that speaks of overload.
    func observe(_ time: Duration?, at now: MonotonicTime) {
        guard isAdaptive else { return }
        let admitted = shared.withLock { shared -> [(UInt64, Waiter)] in
            let inFlight = shared.state.active
            guard shared.adaptive?.ended(after: time, inFlight: inFlight, at: now) ?? false, isEnforced,
                let limit = shared.adaptive?.limit
            else { return [] }
            return shared.state.resize(to: limit).compactMap { id in
                shared.waiting.removeValue(forKey: id).map { (id, $0) }
            }
        }
        for (id, waiter) in admitted { waiter(id) }
    }

    var figures: Figures {
        shared.withLock { shared in
            Figures(
                inFlight: shared.state.active, limit: shared.adaptive?.limit ?? shared.state.places,
                wouldRefuse: shared.wouldRefuse)
        }
    }
}

/// A place in an ``InFlightLimit``. It is free again when the place is dropped.
struct InFlightPlace: ~Copyable {
    private let limit: InFlightLimit

    /// A place that was given.
    init(_ limit: InFlightLimit) { self.limit = limit }

    deinit { limit.leave() }
}
