import DovetailEvents
import Foundation
import Synchronization

/// Requests on their way to a writer's thread: bounded in number and bytes, in the order they came.
final class Mailbox: Sendable {
    private struct State {
        var requests: [Request] = []
        var bytes = 0
        var isWriterAsleep = false
        /// Why nothing is taken in any more.
        var closed: LogError?
    }

    private let name: String
    private let limit: (requests: Int, bytes: Int)
    private let state = Mutex(State())
    /// Wakes the writer. Signalled only when it sleeps, so that a busy writer costs its callers no system call.
    private let bell = DispatchSemaphore(value: 0)

    init(_ name: String, limit: (requests: Int, bytes: Int)) {
        self.name = name
        self.limit = limit
    }

    /// Puts a request in. Throws `overloaded` when it is full, `stopped` once it is closed.
    func put(_ request: Request) throws {
        guard try offer(request) else {
            throw LogError(
                .overloaded, name,
                "\(limit.requests) requests, or \(limit.bytes) bytes, wait for the writer; nothing was written, try again shortly"
            )
        }
    }

    /// Puts a request in; false when it is full. Throws `stopped` once it is closed.
    func offer(_ request: Request) throws -> Bool {
        let (isIn, ring, closed): (Bool, Bool, LogError?) = state.withLock { state in
            if let closed = state.closed { return (false, false, closed) }
            guard state.requests.count < limit.requests, state.bytes < limit.bytes else { return (false, false, nil) }
            state.requests.append(request)
            state.bytes += request.bytes
            defer { state.isWriterAsleep = false }
            return (true, state.isWriterAsleep, nil)
        }
        if let closed { throw closed }
        if ring { bell.signal() }
        return isIn
    }

    /// Takes what is there, without waiting.
    func takeAll() -> [Request] {
        state.withLock { state in
            guard !state.requests.isEmpty else { return [] }
            state.bytes = 0
            defer { state.requests = [] }
            return state.requests
        }
    }

    /// Waits for requests and takes them; returns none after `idle`, nil when it is closed and empty.
    func wait(atMost idle: DispatchTimeInterval) -> [Request]? {
        let now: (requests: [Request], closed: Bool) = state.withLock { state in
            state.bytes = 0
            defer { state.requests = [] }
            state.isWriterAsleep = state.requests.isEmpty && state.closed == nil
            return (state.requests, state.closed != nil)
        }
        if !now.requests.isEmpty { return now.requests }
        if now.closed { return nil }
        if bell.wait(timeout: .now() + idle) == .timedOut {
            let wasRung = state.withLock { state in
                defer { state.isWriterAsleep = false }
                return !state.isWriterAsleep
            }
            // The bell was rung just after the wait ended: that ring is taken here, so that it does not wake the next wait.
            if wasRung { bell.wait() }
        }
        return takeAll()
    }

    /// Takes nothing in from now on. What is in already stays.
    func close(_ error: LogError) {
        let ring = state.withLock { state in
            if state.closed == nil { state.closed = error }
            defer { state.isWriterAsleep = false }
            return state.isWriterAsleep
        }
        if ring { bell.signal() }
    }
}
