import DovetailContracts
import DovetailCore
import Foundation

/// An event as the log holds it.
public struct StoredEvent: Sendable {
    /// Where it stands.
    public var position: LogPosition
    /// The stream it belongs to, and its number there from 1; nil for an event that is only published.
    public var stream: (name: String, version: Int64)?
    /// Its id.
    public var id: UniqueID
    /// The topic.
    public var type: String
    /// The payload's version.
    public var version: Int
    /// The value that orders it.
    public var key: String
    /// Who published it.
    public var source: String
    /// When the log committed it, by the writer's clock; never decreases along a log.
    public var time: Date
    /// What travels with it.
    public var attributes: EventAttributes
    /// The payload.
    public var data: [UInt8]

    /// An event at a position.
    public init(
        position: LogPosition, stream: (name: String, version: Int64)?, time: Date, draft: EventDraft
    ) {
        self.position = position
        self.stream = stream
        self.id = draft.id
        self.type = draft.type
        self.version = draft.version
        self.key = draft.key
        self.source = draft.source
        self.time = time
        self.attributes = draft.attributes
        self.data = draft.data
    }

    /// Whether the event is of no use any more.
    public var hasExpired: Bool { attributes.expiresAt.map { $0 <= Date() } ?? false }

    /// The event as it was given to be appended.
    package var draft: EventDraft {
        EventDraft(
            id: id, type: type, version: version, key: key, source: source, attributes: attributes, data: data)
    }

    /// The payload as `event` declares it, through its upcasters where it was stored in an older version.
    ///
    /// Throws ``EventVersionError`` for a version that no upcaster leads from, ``JSONError`` where the bytes do not fit, ``UpcastError`` where a step fails.
    public func payload<Payload>(_ event: Event<Payload>) throws -> Recorded<Payload> {
        Recorded(payload: try event.decode(data, version: version), event: self)
    }
}

/// A typed event out of the log; the payload's fields are its own.
@dynamicMemberLookup
public struct Recorded<Payload: Wire>: Sendable {
    /// What happened.
    public let payload: Payload
    /// The event as stored: position, time, attributes.
    public let event: StoredEvent

    /// A payload with the event it came from.
    public init(payload: Payload, event: StoredEvent) {
        self.payload = payload
        self.event = event
    }

    /// Where it stands.
    public var position: LogPosition { event.position }
    /// When the log committed it.
    public var time: Date { event.time }

    /// A field of the payload.
    public subscript<Value>(dynamicMember field: KeyPath<Payload, Value>) -> Value { payload[keyPath: field] }
}
