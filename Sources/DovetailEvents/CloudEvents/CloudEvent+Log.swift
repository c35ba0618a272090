import DovetailContracts
import DovetailCore
import Foundation

extension CloudEvent {
    /// The attributes that the log keeps in places of their own.
    private static let modelled: Set<String> = [
        "partitionkey", "dataversion", "expirytime", "correlationid", "causationid", "traceparent", "tracestate",
        "dovetailposition",
    ]

    /// The event, ready to be appended.
    ///
    /// An id that is a UUID of version 7 is the log's id too; any other gives one together with the source, so that the same event sent again is the same here.
    public var draft: EventDraft {
        let own = UniqueID(id).flatMap { $0.high >> 12 & 0xF == 7 ? $0 : nil }
        var kept = EventAttributes()
        kept.correlationID = attributes["correlationid"]
        kept.causationID = attributes["causationid"]
        kept.traceparent = attributes["traceparent"]
        kept.tracestate = attributes["tracestate"]
        kept.expiresAt = attributes["expirytime"].flatMap { Timestamp.date($0) }
        var headers = attributes.filter { !CloudEvent.modelled.contains($0.key) }
        if own?.description != id { headers["id"] = id }
        if data == nil { headers[CloudEvent.noData] = "true" }
        kept.headers = headers.isEmpty ? nil : headers
        return EventDraft(
            id: own ?? .derived(from: "cloudevent", source, id), type: type,
            version: attributes["dataversion"].flatMap { Int($0) } ?? 1,
            key: attributes["partitionkey"] ?? attributes["subject"] ?? id, source: source, attributes: kept,
            data: data ?? [])
    }

    /// Says that an event came without data: no publisher can send this name.
    private static let noData = "dovetail-no-data"

    /// An event of the log as others are told it.
    public init(_ event: StoredEvent) {
        let headers = event.attributes.headers ?? [:]
        self.init(id: headers["id"] ?? event.id.description, source: event.source, type: event.type)
        attributes = headers.filter { $0.key != "id" && !$0.key.contains("-") }
        attributes["time"] = headers["time"] ?? Timestamp.text(event.time)
        attributes["partitionkey"] = event.key
        attributes["dataversion"] = String(event.version)
        attributes["correlationid"] = event.attributes.correlationID
        attributes["causationid"] = event.attributes.causationID
        attributes["traceparent"] = event.attributes.traceparent
        attributes["tracestate"] = event.attributes.tracestate
        attributes["expirytime"] = event.attributes.expiresAt.flatMap { Timestamp.text($0) }
        attributes["dovetailposition"] = event.position.description
        guard headers[CloudEvent.noData] == nil else { return }
        attributes["datacontenttype"] = headers["datacontenttype"] ?? "application/json"
        // Personal values are not for those outside.
        data = SealedText.withheld(from: event.data)
    }
}
