import DovetailContracts
import DovetailCore
import DovetailEvents
import Tracing

/// A module's subscription: what it wants, and how it handles it once the module has a node.
public struct ModuleSubscription: Sendable {
    /// The durable name, which begins with the module's.
    public let name: String
    /// The topics it wants.
    public let topics: [TopicPattern]
    private let make: @Sendable (ModuleRuntime) -> Subscription

    init(
        name: String, topics: [TopicPattern], configure: @escaping @Sendable (inout Subscription) -> Void,
        handler: @escaping @Sendable (ModuleRuntime) -> EventHandler
    ) {
        self.name = name
        self.topics = topics
        make = { runtime in
            var subscription = Subscription(name, to: topics, handler: handler(runtime))
            configure(&subscription)
            return subscription
        }
    }

    /// The subscription of a module that runs.
    package func subscription(in runtime: ModuleRuntime) -> Subscription { make(runtime) }
}

extension ModuleBuilder {
    /// Handles the events of a kind: each at least once, those of one key in order, others beside them.
    ///
    /// What the handler does through its context (commands, `once`, calls of other modules) goes under a key made of subscription and event, and so has its effect
    /// once however often the event comes. A handler that throws is tried again, at once and later; then the event goes to the dead letters, and what follows under
    /// its key waits for it to be redriven or discarded. `configure` changes where a new subscription begins, how many handlers run at the same time, and how often is tried again.
    public mutating func subscribe<Payload>(
        _ name: String, to event: Event<Payload>,
        configure: @escaping @Sendable (inout Subscription) -> Void = { _ in },
        _ handler: @escaping @Sendable (Recorded<Payload>, HandlerContext) async throws -> Void
    ) {
        subscribe(name, [TopicPattern(event.name)], configure) { runtime in
            .on(event) { recorded, delivery in
                try await HandlerContext.handling(recorded.event, delivery, runtime) { try await handler(recorded, $0) }
            }
        }
    }

    /// Handles the events of topics, as they are stored. See ``subscribe(_:to:configure:_:)``.
    public mutating func subscribe(
        _ name: String, to topics: TopicPattern...,
        configure: @escaping @Sendable (inout Subscription) -> Void = { _ in },
        _ handler: @escaping @Sendable (StoredEvent, HandlerContext) async throws -> Void
    ) {
        subscribe(name, topics, configure) { runtime in
            .atLeastOnce { event, delivery in
                try await HandlerContext.handling(event, delivery, runtime) { try await handler(event, $0) }
            }
        }
    }

    private mutating func subscribe(
        _ name: String, _ topics: [TopicPattern], _ configure: @escaping @Sendable (inout Subscription) -> Void,
        _ handler: @escaping @Sendable (ModuleRuntime) -> EventHandler
    ) {
        let name = "\(module).\(name)"
        precondition(
            !parts.subscriptions.contains { $0.name == name }, "the module has two subscriptions called '\(name)'")
        parts.subscriptions.append(
            ModuleSubscription(name: name, topics: topics, configure: configure, handler: handler))
    }
}

extension HandlerContext {
    /// Runs a handler of an event in the event's trace, under a key of its own.
    fileprivate static func handling(
        _ event: StoredEvent, _ delivery: Delivery, _ runtime: ModuleRuntime,
        _ handler: @Sendable (HandlerContext) async throws -> Void
    ) async throws {
        var call = CallContext.current ?? event.attributes.callContext(causedBy: event.id)
        call.idempotencyKey = "\(delivery.subscription)/\(event.id)"
        try await withSpan("\(delivery.subscription): \(event.type)", context: call.trace, ofKind: .consumer) { span in
            span.attributes["messaging.system"] = "dovetail"
            span.attributes["messaging.destination.name"] = event.type
            span.attributes["messaging.destination.subscription.name"] = delivery.subscription
            span.attributes["messaging.message.id"] = event.id.description
            span.attributes["dovetail.attempt"] = delivery.attempt
            call.trace = span.context
            try await CallContext.$current.withValue(call) {
                try await handler(HandlerContext(call: call, runtime: runtime, delivery: delivery))
            }
        }
    }
}
