import DovetailCore
import Foundation

/// Takes events of the past to a handler once more, in the order of the log, beside whatever goes on.
///
/// No subscription moves by it. One event is handled after the other; one that fails is told and not tried again. The handler may be a subscription's own, whose
/// effects then happen again except where they are under the event's key, or a shadow: a new version that is to show what it would have done.
public struct EventReplay: Sendable {
    /// What a replay has done.
    public struct Progress: Sendable {
        /// Every event up to this number was looked at.
        public var number: Int64
        /// The last number that there is to look at.
        public var end: Int64
        /// How many events are of the topics, and pass the filter.
        public var matched = 0
        /// How many were handled well.
        public var handled = 0
        /// How many failed.
        public var failed = 0
        /// The first failures, at most a hundred.
        public var failures: [Failure] = []
    }

    /// An event that its handler could not handle.
    public struct Failure: Sendable {
        /// The event's number.
        public var position: Int64
        /// The error.
        public var error: String
    }

    /// The topics.
    public var topics: [TopicPattern]
    /// What an event has to say besides.
    public var filter: EventFilter?
    /// The number after which it begins.
    public var after: Int64
    /// The number with which it ends; the log's last one unless given.
    public var end: Int64?
    /// How many events a second at most.
    public var rate: Double?

    /// A replay of the events of these topics from `after` up to `end`.
    public init(
        of topics: [TopicPattern], where filter: EventFilter? = nil, after: Int64, upTo end: Int64? = nil,
        rate: Double? = nil
    ) {
        self.topics = topics
        self.filter = filter
        self.after = after
        self.end = end
        self.rate = rate
    }

    /// Runs it over a log; without a handler it only counts. `progress` is told after each page. Throws `CancellationError` when cancelled, and what keeps the log from being read.
    @discardableResult
    public func run(
        over log: any EventLog, as name: String = "replay",
        progress: @Sendable (Progress) -> Void = { _ in },
        handler: (@Sendable (StoredEvent, Delivery) async throws -> Void)? = nil
    ) async throws -> Progress {
        let interest = Interest(topics: topics, filter: filter)
        var state = Progress(number: max(0, after), end: min(end ?? log.head, log.head))
        var pace = Pace(rate)
        while state.number < state.end {
            try Task.checkCancellation()
            let page = try await log.events(after: state.number, types: interest.types, limit: 256)
            for event in page.events where event.position.number <= state.end && interest.wants(event) {
                state.matched += 1
                guard let handler else { continue }
                try await pace.wait()
                await handle(event, name, handler, &state)
            }
            state.number = min(page.scanned, state.end)
            progress(state)
        }
        return state
    }

    private func handle(
        _ event: StoredEvent, _ name: String, _ handler: @Sendable (StoredEvent, Delivery) async throws -> Void,
        _ state: inout Progress
    ) async {
        var context = event.attributes.callContext(causedBy: event.id)
        let deadline = MonotonicTime.now + .seconds(30)
        context.deadline = deadline
        do {
            try await CallContext.$current.withValue(context) {
                try await handler(event, Delivery(subscription: name, attempt: 1, deadline: deadline))
            }
            state.handled += 1
        } catch {
            state.failed += 1
            if state.failures.count < 100 {
                state.failures.append(
                    Failure(position: event.position.number, error: DeliveryState.text(error)))
            }
        }
    }
}
