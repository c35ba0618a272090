import DovetailCore
import Synchronization

/// Bounds the calls to one callee that are under way at the same time, so that a slow one cannot take up the process.
///
///     let value = try await bulkhead.withPermit { try await fetch() }
///
/// Who finds no place waits in a queue, first come first served, until a place is free, its own deadline or the
/// policy's longest wait is over, or it is cancelled. A permit cannot be copied and gives its place back when it is
/// dropped.
public final class Bulkhead: Sendable {
    private struct Shared {
        var state: BulkheadState
        var waiting: [UInt64: CheckedContinuation<Void, any Error>] = [:]
        var nextID: UInt64 = 0
    }

    /// Whom it guards: names it in errors.
    public let callee: String
    /// How many places and turns there are.
    public let policy: BulkheadPolicy
    private let clock: any MonotonicClock
    private let timer: DeadlineTimer
    private let shared: Mutex<Shared>

    /// A bulkhead with nobody in it.
    public init(
        callee: String, policy: BulkheadPolicy = BulkheadPolicy(), clock: any MonotonicClock = SystemClock()
    ) {
        self.callee = callee
        self.policy = policy
        self.clock = clock
        timer = .on(clock)
        shared = Mutex(Shared(state: BulkheadState(policy: policy)))
    }

    /// How many calls have a place.
    public var active: Int { shared.withLock { $0.state.active } }

    /// How many calls wait for one.
    public var queued: Int { shared.withLock { $0.state.queued } }

    /// Runs `operation` in a place of its own.
    ///
    /// - Throws: As ``permit(until:)``, or what `operation` throws.
    public func withPermit<R>(
        until deadline: MonotonicTime? = nil, isolation: isolated (any Actor)? = #isolation,
        _ operation: () async throws -> R
    ) async throws -> R {
        let permit = try await permit(until: deadline)
        let result: Result<R, any Error>
        do { result = .success(try await operation()) } catch { result = .failure(error) }
        _ = consume permit
        return try result.get()
    }

    /// Waits for a place.
    ///
    /// - Parameter deadline: When the caller stops waiting for its whole call.
    /// - Throws: ``CallError`` of code `bulkheadFull` if the queue is full or the policy's longest wait is over, of
    ///   code `deadlineExceeded` if the deadline is; `CancellationError` if the task is cancelled.
    public func permit(until deadline: MonotonicTime? = nil) async throws -> BulkheadPermit {
        try Task.checkCancellation()
        let (prospect, id) = shared.withLock { shared in
            shared.nextID += 1
            let prospect = shared.state.prospect
            if prospect == .admitted { _ = shared.state.enter(shared.nextID) }
            return (prospect, shared.nextID)
        }
        switch prospect {
        case .admitted: break
        case .queued: try await waitForPlace(id, until: deadline)
        case .full: throw queueFull
        }
        return BulkheadPermit(bulkhead: self)
    }

    private func waitForPlace(_ id: UInt64, until deadline: MonotonicTime?) async throws {
        let longest = clock.now + policy.maximumQueueWait
        let end = deadline.map { min($0, longest) } ?? longest
        let late = deadline == end ? passed : full("no place became free in \(policy.maximumQueueWait)")
        let entry = timer.schedule(at: end) { self.abandon(id, late) }
        defer { timer.cancel(entry) }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let result: Result<Void, any Error>? = shared.withLock { shared in
                    // Who is cancelled or late before it waits would not be found by those who look for it.
                    if Task.isCancelled { return .failure(CancellationError()) }
                    if clock.now >= end { return .failure(late) }
                    switch shared.state.enter(id) {
                    case .admitted: return .success(())
                    case .full: return .failure(queueFull)
                    case .queued:
                        shared.waiting[id] = continuation
                        return nil
                    }
                }
                if let result { continuation.resume(with: result) }
            }
        } onCancel: {
            abandon(id, CancellationError())
        }
    }

    private func abandon(_ id: UInt64, _ error: any Error) {
        let continuation = shared.withLock { shared in
            shared.state.abandon(id) ? shared.waiting.removeValue(forKey: id) : nil
        }
        continuation?.resume(throwing: error)
    }

    func leave() {
        let next = shared.withLock { shared in
            shared.state.leave().flatMap { shared.waiting.removeValue(forKey: $0) }
        }
        next?.resume()
    }

    private var passed: CallError {
        CallError(
            .deadlineExceeded, callee: callee, message: "not called, because the deadline passed in its queue",
            wasSent: false)
    }

    private var queueFull: CallError { full("\(policy.maximumQueuedCalls) wait for a place already") }

    private func full(_ reason: String) -> CallError {
        CallError(
            .bulkheadFull, callee: callee,
            message: "not called, because \(policy.maximumConcurrentCalls) calls are under way and \(reason)",
            wasSent: false)
    }
}

/// A place in a ``Bulkhead``. It is free again when the permit is dropped.
public struct BulkheadPermit: ~Copyable, Sendable {
    private let bulkhead: Bulkhead

    init(bulkhead: Bulkhead) {
        self.bulkhead = bulkhead
    }

    deinit {
        bulkhead.leave()
    }
}
