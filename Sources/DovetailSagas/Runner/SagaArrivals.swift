import DovetailCore
import Synchronization

/// What the reader of a saga's events has started, on its way to who carries it: what is handed over need not be looked for.
///
/// A transaction may run twice, or not be made: what comes of an event counts once the reader has passed it.
final class SagaArrivals: Sendable {
    private struct Entry {
        var record: SagaRecord?
        var isMessage = false
    }

    private struct State {
        /// By the positions of the events.
        var pending: [Int64: Entry] = [:]
        var ready: [SagaRecord] = []
        var mustLook = false
    }

    private let limit: Int
    private let state = Mutex(State())

    /// At most about `limit` are handed over at a time; the others are found in the journal.
    init(limit: Int) {
        self.limit = limit
    }

    /// Notes what came of the event at a position, in place of what was noted of it before.
    func note(_ position: Int64, started: SagaRecord?, isMessage: Bool) {
        state.withLock { state in
            let isFull = state.pending.count + state.ready.count >= limit
            let record = isFull ? nil : started
            let isForLook = isMessage || started != nil && isFull
            state.pending[position] =
                record == nil && !isForLook ? nil : Entry(record: record, isMessage: isForLook)
        }
    }

    /// The reader has passed a position: what came of the events up to it is in the journal.
    func reach(_ position: Int64) {
        state.withLock { state in
            let reached = state.pending.keys.filter { $0 <= position }.sorted()
            for number in reached {
                guard let entry = state.pending.removeValue(forKey: number) else { continue }
                if let record = entry.record { state.ready.append(record) }
                if entry.isMessage { state.mustLook = true }
            }
        }
    }

    /// What is handed over, in the order in which it was started, and whether the journal has to be looked at besides.
    func take() -> (records: [SagaRecord], mustLook: Bool) {
        state.withLock { state in
            defer { (state.ready, state.mustLook) = ([], false) }
            return (state.ready, state.mustLook)
        }
    }
}
