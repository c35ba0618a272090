import DovetailCore

/// An event on its way to handlers: one for all subscriptions that want it, with what each would otherwise work out again.
final class Envelope: Sendable {
    let event: StoredEvent
    /// What its handlers run in, but for the deadline.
    let context: CallContext
    let keyHash: Int

    init(_ event: StoredEvent) {
        self.event = event
        context = event.attributes.callContext(causedBy: event.id)
        keyHash = event.key.hashValue
    }

    var position: Int64 { event.position.number }
}

/// An event's key, by which it waits for others of the same key.
struct EnvelopeKey: Hashable {
    let envelope: Envelope

    static func == (left: EnvelopeKey, right: EnvelopeKey) -> Bool {
        left.envelope.keyHash == right.envelope.keyHash && left.envelope.event.key == right.envelope.event.key
    }

    func hash(into hasher: inout Hasher) { hasher.combine(envelope.keyHash) }
}
