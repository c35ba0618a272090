import DovetailCore

/// A place in a log: which log, which life of it, and the number of an event in it.
///
/// Numbers are dense and in commit order, from 1; 0 is before the first event. The epoch rises when a log is restored from a backup, so a
/// position taken before is never mistaken for one after. Its text form is opaque to everyone else.
public struct LogPosition: Hashable, Sendable, LosslessStringConvertible, Codable {
    /// The log.
    public var log: UniqueID
    /// The log's life: 1 until its first restore.
    public var epoch: Int
    /// The event's number.
    public var number: Int64

    /// A place in a log.
    public init(log: UniqueID, epoch: Int, number: Int64) {
        self.log = log
        self.epoch = epoch
        self.number = number
    }

    public init?(_ description: String) {
        let parts = description.split(separator: ".")
        guard parts.count == 3, let log = UniqueID(String(parts[0])), let epoch = Int(parts[1]),
            let number = Int64(parts[2]), epoch > 0, number >= 0
        else { return nil }
        self.init(log: log, epoch: epoch, number: number)
    }

    public var description: String { "\(log).\(epoch).\(number)" }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let position = LogPosition(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "expected a log position")
        }
        self = position
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// What a store of events promises about what it has accepted.
public enum Durability: String, Sendable, Codable {
    /// Gone with the process.
    case memory
    /// Survives the process; a power loss may take the last moments.
    case operatingSystem = "os"
    /// On the disk (fsync) before the call returns.
    case disk
}
