import DovetailCore
import Foundation

/// An event that a subscription gave up on, with its bytes and the reason.
public struct DeadLetter: Sendable, Decodable {
    /// Why it was given up on.
    public enum Reason: String, Sendable, Codable {
        /// Its handler failed, and no attempts were left or none would have helped.
        case failed
        /// Its payload is not what the contract says.
        case undecodable
        /// Its handler did not return in time.
        case timedOut
        /// The process ended while it was handled, again and again.
        case crashed
    }

    /// The subscription.
    public var subscription: String
    /// The event's number in the log.
    public var position: Int64
    /// The event's id.
    public var eventID: String
    /// The topic.
    public var type: String
    /// The payload's version.
    public var version: Int
    /// The value that orders it.
    public var eventKey: String
    /// Who published it.
    public var source: String
    /// What travelled with it.
    public var attributes: EventAttributes
    /// The payload.
    public var data: [UInt8]
    /// Why it is here.
    public var reason: Reason
    /// The last error.
    public var error: String
    /// How often it was tried.
    public var attempts: Int
    /// When it failed first.
    public var firstFailedAt: Date
    /// When it was given up on.
    public var diedAt: Date
}

extension DeadLetter {
    /// The event as it was, whether the log has it still or not; nil if its id is none.
    func event(in log: any EventLog) -> StoredEvent? {
        UniqueID(eventID).map { id in
            StoredEvent(
                position: log.position(position), stream: nil, time: firstFailedAt,
                draft: EventDraft(
                    id: id, type: type, version: version, key: eventKey, source: source, attributes: attributes,
                    data: data))
        }
    }
}

/// A subscription as an operator sees it.
public struct SubscriptionStatus: Sendable {
    /// The durable name.
    public var name: String
    /// The topics it wants.
    public var topics: [String]
    /// Every event up to this number has been looked at.
    public var scanned: Int64
    /// Events that it has not settled: those it has not looked at, and those under way.
    public var lag: Int64
    /// The age of the oldest of them; nil if there is none.
    public var age: Duration?
    /// Keys whose events wait because one of them failed.
    public var blockedKeys: Int
    /// Events in the dead letters.
    public var deadLetters: Int
    /// What holds it up, if something does.
    public var problem: String?
}
