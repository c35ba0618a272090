import DovetailCore
import Foundation

/// A kind of event that a contract publishes: its wire name, its version, its payload, and the key that orders it.
///
/// Events of one key are delivered in order. The name is a topic, words joined by dots; name and version, never the Swift
/// type, are the event's identity in the log. What was stored under an older version is read by the upcasters that lead from there
/// to this one: see ``upcast(to:key:_:)``.
public struct Event<Payload: Wire>: Sendable {
    /// The topic, as `order.created`.
    public let name: String
    /// The payload's version, from 1.
    public let version: Int
    /// The field that orders events and partitions them.
    public let key: any KeyPath<Payload, String> & Sendable
    /// What reads the payloads of older versions, by version.
    let older: [Int: @Sendable ([UInt8]) throws -> Payload]

    /// A kind of event.
    public init(
        _ name: String, version: Int = 1, _ payload: Payload.Type, key: any KeyPath<Payload, String> & Sendable
    ) {
        precondition(
            !name.isEmpty && name.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { !$0.isEmpty },
            "the event name '\(name)' has to be words joined by dots, as in order.created")
        self.init(name: name, version: version, key: key, older: [:])
    }

    init(
        name: String, version: Int, key: any KeyPath<Payload, String> & Sendable,
        older: [Int: @Sendable ([UInt8]) throws -> Payload]
    ) {
        self.name = name
        self.version = version
        self.key = key
        self.older = older
    }

    /// An event of this kind that is about to be published.
    public func callAsFunction(_ payload: Payload) -> NewEvent {
        NewEvent(name: name, version: version, key: payload[keyPath: key], payload: payload)
    }
}

/// An event that was decided but is not yet in the log.
public struct NewEvent: Sendable {
    /// The topic.
    public let name: String
    /// The payload's version.
    public let version: Int
    /// The value that orders it.
    public let key: String
    /// What happened.
    public let payload: any Wire
    /// When it is of no use any more; nil: never.
    public var expiresAt: Date?
    /// Attributes beside the payload, by names of small letters and digits, as CloudEvents wants them.
    public var headers: [String: String] = [:]

    /// An event.
    public init(name: String, version: Int, key: String, payload: any Wire) {
        self.name = name
        self.version = version
        self.key = key
        self.payload = payload
    }

    /// The event, of no use any more at `date`: a subscription that gets to it later does not handle it.
    public func expiring(at date: Date) -> NewEvent {
        var event = self
        // As late as a date can be said.
        event.expiresAt = min(date, Date(timeIntervalSince1970: 253_402_300_799))
        return event
    }

    /// The event with an attribute beside its payload; `name` has small letters and digits only, as CloudEvents wants it.
    public func with(_ name: String, _ value: String) -> NewEvent {
        precondition(
            (1...20).contains(name.utf8.count)
                && name.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) },
            "the attribute name '\(name)' has to be 1 to 20 small letters and digits")
        var event = self
        event.headers[name] = value
        return event
    }
}

/// What a document or a check needs to know of an event.
public struct EventDescription: Sendable {
    /// The topic.
    public let name: String
    /// The payload's version.
    public let version: Int
    /// The payload's type, for its schema.
    public let payload: any Wire.Type
    /// The versions whose stored payloads can be read.
    public let versions: ClosedRange<Int>
    /// Reads a stored payload of one of ``versions``. Throws what ``Event/decode(_:version:)`` throws.
    public let decode: @Sendable (_ data: [UInt8], _ version: Int) throws -> any Wire
}

/// An ``Event`` whose payload type is not known here.
public protocol AnyEvent: Sendable {
    /// What a document needs to know of it.
    var description: EventDescription { get }
}

extension Event: AnyEvent {
    public var description: EventDescription {
        EventDescription(
            name: name, version: version, payload: Payload.self, versions: versions,
            decode: { try decode($0, version: $1) })
    }
}
