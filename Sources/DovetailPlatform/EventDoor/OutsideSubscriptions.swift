import DovetailCore
import DovetailEvents
import DovetailHTTP

/// The subscriptions of others that a configuration names, as the bus runs them.
struct OutsideSubscriptions {
    /// What clients fetch from, by subscription.
    private(set) var queues: [String: PullQueue] = [:]
    private(set) var subscriptions: [Subscription] = []
    /// Posts what is pushed; nil if nothing is.
    private(set) var sender: WebhookSender?

    /// A client may hold an event as long as its lease; the bus itself sets no limit.
    private static let noTimeout = Duration.seconds(365 * 86_400)

    init(_ settings: PlatformConfiguration.Events) {
        for outside in settings.subscriptions {
            let handler: EventHandler
            var timeout = OutsideSubscriptions.noTimeout
            var whenStopping: (@Sendable () -> Void)?
            switch outside.way {
            case .pull(_, let ackWithin):
                let queue = PullQueue(ackWithin: ackWithin)
                queues[outside.name] = queue
                whenStopping = { queue.close() }
                handler = .atLeastOnce { try await queue.handle($0, $1) }
            case .push(let push):
                let sender = sender ?? WebhookSender()
                self.sender = sender
                // The sender keeps the time; the bus only watches over it.
                timeout = push.timeout + .seconds(5)
                handler = .atLeastOnce { event, delivery in
                    let body = CloudEvent(event).json
                    try await sender.post(
                        .init(id: event.id.description, contentType: CloudEvent.mediaType, body: body), to: push.url,
                        secret: push.secret.revealed, timeout: push.timeout,
                        headers: [("dovetail-attempt", String(delivery.attempt))])
                }
            }
            var subscription = Subscription(
                outside.name, to: outside.topics, where: outside.filter,
                start: outside.fromBeginning ? .beginning : .now, order: outside.isOrdered ? .byKey : .unordered,
                concurrency: outside.concurrency, prefetch: max(outside.concurrency, 256),
                redelivery: RedeliveryPolicy(
                    immediate: 0, delayed: outside.retries, baseDelay: .seconds(1), maximumDelay: .seconds(300)),
                handlerTimeout: timeout, handler: handler)
            subscription.whenStopping = whenStopping
            subscriptions.append(subscription)
        }
    }
}
