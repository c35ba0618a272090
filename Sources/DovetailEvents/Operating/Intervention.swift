import DovetailContracts
import DovetailCore

/// What an operator did, on record in the log: an event of the topic `$operator.<action>`, with what it was done to as its key.
public struct Intervention: Wire {
    /// What was done: `redriven`, `discarded`, `edited`, `sought`, `replayed`, `forgotten`; to a read model `rebuilding`, `switched`, `rolledback`, `dropped`; to a stream `deleted`, `restored`,
    /// `truncated`, `tombstoned`.
    public var action: String
    /// The subscription it was done to, or the read model, as `module/projection`, or the stream.
    public var subscription: String
    /// The number of the event that it was about.
    public var position: Int64?
    /// More of it, in words.
    public var detail: String?

    /// An intervention.
    public init(action: String, subscription: String, position: Int64? = nil, detail: String? = nil) {
        self.action = action
        self.subscription = subscription
        self.position = position
        self.detail = detail
    }

    /// As an event to be published; wildcards do not match its topic.
    func draft() throws -> EventDraft {
        EventDraft(
            type: "$operator.\(action)", key: subscription, source: "operator", data: try JSON.encode(self))
    }
}

extension EventLog {
    /// Puts what an operator did on record. Durable when it returns.
    package func record(_ intervention: Intervention) async throws {
        _ = try await publish([try intervention.draft()])
    }
}
