import DovetailCore
import DovetailEvents
import ServiceLifecycle

/// A query that is answered again whenever its read models have changed: an async sequence of answers, the present one first.
///
/// Whoever iterates asks: an answer is made when the next one is wanted, of how things stand then, so changes in between come as one, the latest, and a slow reader holds nobody up
/// and piles nothing up. The sequence ends when the read model stops, as its node shuts down, and with the task that iterates. What the query throws ends it too.
public struct LiveQuery<Value: Sendable>: AsyncSequence, Sendable {
    private let readModel: ReadModel
    private let isSame: @Sendable (Value, Value) -> Bool
    private let query: @Sendable (Snapshot) throws -> Value

    init(
        _ readModel: ReadModel, isSame: @escaping @Sendable (Value, Value) -> Bool,
        _ query: @escaping @Sendable (Snapshot) throws -> Value
    ) {
        self.readModel = readModel
        self.isSame = isSame
        self.query = query
    }

    /// Asks again and again.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let live: LiveQuery
        fileprivate var seen: Int64?
        fileprivate var last: Value?

        public mutating func next() async throws -> Value? {
            while true {
                do {
                    if let seen { try await live.readModel.waitForChange(beyond: seen) }
                } catch is ReadModelStopped {
                    return nil
                } catch is CancellationError {
                    return nil
                }
                // Counted before the look: what changes during it is a reason for the next one.
                seen = live.readModel.changes.value
                let query = live.query
                let value = try await live.readModel.query { try query($0) }
                if let last, live.isSame(last, value) { continue }
                last = value
                return value
            }
        }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(live: self) }
}

/// The read model is kept up to date no more.
struct ReadModelStopped: Error {}

extension ReadModel {
    /// The answers to a query: as it is now, then again after each change of the read models, if it is another. See ``LiveQuery``.
    ///
    ///     for try await open in orders.changes({ try $0.rows(Order.self, "SELECT * FROM orders WHERE status = 'open'") }) { … }
    public func changes<Value: Sendable & Equatable>(
        _ query: @escaping @Sendable (Snapshot) throws -> Value
    ) -> LiveQuery<Value> {
        LiveQuery(self, isSame: ==, query)
    }

    /// The same for answers that cannot be compared: each change of the read models brings one.
    public func changes<Value: Sendable>(
        _ query: @escaping @Sendable (Snapshot) throws -> Value
    ) -> LiveQuery<Value> {
        LiveQuery(self, isSame: { _, _ in false }, query)
    }

    fileprivate func waitForChange(beyond seen: Int64) async throws {
        try await cancelWhenGracefulShutdown { _ = try await self.changes.wait(for: seen + 1) }
    }
}
