import DovetailCore
import DovetailEvents
import Foundation
import Synchronization

/// Events of a subscription that wait for a client to fetch them, and those that a client has.
///
/// To the bus it is a handler that returns when the client is done with the event. What was fetched and not acknowledged in time, or refused, counts as a
/// failed attempt, and the bus does with it what it does with any: tries again later, and at last puts it to the dead letters.
final class PullQueue: Sendable {
    /// An event that a client has, until it says what became of it or its time is over.
    struct Fetched: Sendable {
        let token: String
        let event: StoredEvent
        let attempt: Int
        let deadline: Date
    }

    /// A client did not say in time what became of an event.
    struct NotAcknowledged: Error, CustomStringConvertible {
        let within: Duration
        var description: String { "it was fetched, and not acknowledged within \(within)" }
    }

    /// A client could not handle an event.
    struct Refused: Error, CustomStringConvertible {
        let description: String
    }

    private struct Offer {
        let id: UInt64
        let event: StoredEvent
        let attempt: Int
        let continuation: CheckedContinuation<Void, any Error>
    }

    private struct State {
        var nextID: UInt64 = 0
        var arrived: Int64 = 0
        var waiting: [Offer] = []
        var fetched: [String: Offer] = [:]
        var cancelled: Set<UInt64> = []
        var isClosed = false
    }

    private let ackWithin: Duration
    private let state = Mutex(State())
    /// Counts what has come, to wake those who wait for it.
    private let arrivals = Watermark(0)

    init(ackWithin: Duration) {
        self.ackWithin = ackWithin
    }

    /// Holds the event until a client is done with it. For the bus.
    func handle(_ event: StoredEvent, _ delivery: Delivery) async throws {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let arrived: Int64? = state.withLock { state in
                    if state.isClosed || state.cancelled.remove(id) != nil { return nil }
                    // The oldest first, in whatever order lanes bring them.
                    let place = state.waiting.lastIndex { $0.event.position.number < event.position.number } ?? -1
                    state.waiting.insert(
                        Offer(id: id, event: event, attempt: delivery.attempt, continuation: continuation),
                        at: place + 1)
                    state.arrived += 1
                    return state.arrived
                }
                guard let arrived else { return continuation.resume(throwing: CancellationError()) }
                arrivals.advance(to: arrived)
            }
        } onCancel: {
            let offer: Offer? = state.withLock { state in
                if let index = state.waiting.firstIndex(where: { $0.id == id }) {
                    return state.waiting.remove(at: index)
                }
                if let token = state.fetched.first(where: { $0.value.id == id })?.key {
                    return state.fetched.removeValue(forKey: token)
                }
                state.cancelled.insert(id)
                return nil
            }
            offer?.continuation.resume(throwing: CancellationError())
        }
    }

    /// Gives nothing out any more: what waits, and what clients have, stays open and comes again.
    func close() {
        let offers = state.withLock { state in
            state.isClosed = true
            defer {
                state.waiting = []
                state.fetched = [:]
            }
            return state.waiting + state.fetched.values
        }
        for offer in offers { offer.continuation.resume(throwing: CancellationError()) }
    }

    /// At most `limit` events, the oldest first; waits up to `wait` for the first.
    func fetch(_ limit: Int, wait: Duration) async throws -> [Fetched] {
        let deadline = MonotonicTime.now + wait
        while true {
            let seen = arrivals.value
            let fetched = take(limit)
            guard fetched.isEmpty, MonotonicTime.now < deadline else { return fetched }
            let arrivals = arrivals
            let end = try await boundedWait(until: deadline) { _ = try await arrivals.wait(for: seen + 1) }
            if case .shutDown = end { return [] }
        }
    }

    private func take(_ limit: Int) -> [Fetched] {
        let deadline = Date().addingTimeInterval(ackWithin.inSeconds)
        let fetched = state.withLock { state in
            let offers = state.waiting.prefix(limit)
            state.waiting.removeFirst(offers.count)
            return offers.map { offer in
                let token =
                    "\(offer.event.position.number).\(offer.attempt).\(String(UInt64.random(in: .min ... .max), radix: 36))"
                state.fetched[token] = offer
                return Fetched(token: token, event: offer.event, attempt: offer.attempt, deadline: deadline)
            }
        }
        guard !fetched.isEmpty else { return [] }
        let tokens = fetched.map(\.token)
        let within = ackWithin
        Task { [self] in
            try? await Task.sleep(for: within)
            _ = end(tokens, with: .failure(NotAcknowledged(within: within)))
        }
        return fetched
    }

    /// The client is done with these; the tokens that stand for nothing, or for nothing any more.
    func acknowledge(_ tokens: [String]) -> [String] { end(tokens, with: .success(())) }

    /// The client could not handle these.
    func refuse(_ tokens: [String], because reason: String) -> [String] {
        end(tokens, with: .failure(Refused(description: reason)))
    }

    private func end(_ tokens: [String], with outcome: Result<Void, any Error>) -> [String] {
        var offers: [Offer] = []
        var unknown: [String] = []
        state.withLock { state in
            for token in tokens {
                if let offer = state.fetched.removeValue(forKey: token) {
                    offers.append(offer)
                } else {
                    unknown.append(token)
                }
            }
        }
        for offer in offers { offer.continuation.resume(with: outcome) }
        return unknown
    }
}
