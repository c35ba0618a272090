import DovetailContracts
import DovetailCore
import Foundation
import ServiceContextModule
import Tracing

/// An event with its bytes, ready to be appended.
public struct EventDraft: Wire {
    /// The event's id. An id that the log already holds makes the append a duplicate, which succeeds and changes nothing.
    public var id: UniqueID
    /// The topic, as `order.created`.
    public var type: String
    /// The payload's version.
    public var version: Int
    /// The value that orders the event among its like.
    public var key: String
    /// Who published it: the module's name (CloudEvents `source`).
    public var source: String
    /// What travels with it.
    public var attributes: EventAttributes
    /// The payload.
    public var data: [UInt8]

    /// An event.
    public init(
        id: UniqueID = .v7(), type: String, version: Int = 1, key: String, source: String,
        attributes: EventAttributes = EventAttributes(), data: [UInt8]
    ) {
        self.id = id
        self.type = type
        self.version = version
        self.key = key
        self.source = source
        self.attributes = attributes
        self.data = data
    }

    /// A typed event, encoded, with the correlation, cause and trace of `context`. Throws ``JSONError`` if its payload cannot be encoded.
    public init(_ event: NewEvent, id: UniqueID = .v7(), source: String, context: CallContext?) throws {
        self.init(
            id: id, type: event.name, version: event.version, key: event.key, source: source,
            attributes: EventAttributes(context), data: try JSON.encode(event.payload))
        attributes.expiresAt = event.expiresAt
        if !event.headers.isEmpty { attributes.headers = event.headers }
    }
}

/// What travels with an event besides its payload: where it came from in a flow, and the headers a publisher adds.
public struct EventAttributes: Sendable, Hashable, Codable {
    /// Names the flow.
    public var correlationID: String?
    /// What directly caused the event.
    public var causationID: String?
    /// The trace the event belongs to (W3C).
    public var traceparent: String?
    /// More of the trace (W3C).
    public var tracestate: String?
    /// When the event is of no use any more: a subscription that gets to it later settles it unhandled (CloudEvents `expirytime`).
    public var expiresAt: Date?
    /// Further attributes, by their CloudEvents names: extensions, and what a publisher outside said of the event, as `subject` or `dataschema`.
    public var headers: [String: String]?

    /// No attributes.
    public init() {}

    /// The flow and trace of a call.
    public init(_ context: CallContext?) {
        guard let context else { return }
        correlationID = context.correlationID
        causationID = context.causationID
        var carrier: [String: String] = [:]
        InstrumentationSystem.instrument.inject(context.trace, into: &carrier, using: DictionaryCarrier())
        traceparent = carrier["traceparent"]
        tracestate = carrier["tracestate"]
    }

    /// The flow and trace as a context for what the event causes; `id` is the event's own.
    public func callContext(causedBy id: UniqueID) -> CallContext {
        var trace = ServiceContext.topLevel
        var carrier: [String: String] = [:]
        carrier["traceparent"] = traceparent
        carrier["tracestate"] = tracestate
        InstrumentationSystem.instrument.extract(carrier, into: &trace, using: DictionaryCarrier())
        let causationID = id.description
        return CallContext(correlationID: correlationID ?? causationID, causationID: causationID, trace: trace)
    }
}

private struct DictionaryCarrier: Injector, Extractor {
    func inject(_ value: String, forKey key: String, into carrier: inout [String: String]) { carrier[key] = value }
    func extract(key: String, from carrier: [String: String]) -> String? { carrier[key] }
}
