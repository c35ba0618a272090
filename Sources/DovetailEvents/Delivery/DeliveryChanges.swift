import DovetailCore

/// What has changed in a subscription since it was last written; a row each, by the event's position.
struct DeliveryChanges: Sendable {
    /// An event's end in the dead letters.
    struct Death: Sendable {
        let event: StoredEvent
        let reason: DeadLetter.Reason
        let error: String
        let attempts: Int
        let firstFailed: MonotonicTime
        let died: MonotonicTime
    }

    var scanned: Int64 = 0
    var open: [Int64] = []
    /// Whether an event was settled or taken out of the window.
    var touchesCursor = false
    /// Events that block their key; nil takes the row away.
    var failures: [Int64: StoredDeliveries.Failure?] = [:]
    /// Events held behind those, by their key; nil takes the row away.
    var held: [Int64: String?] = [:]
    /// Dead letters; nil takes the row away.
    var deadLetters: [Int64: Death?] = [:]

    var count: Int { failures.count + held.count + deadLetters.count }
    var isEmpty: Bool { !touchesCursor && count == 0 }

    mutating func merge(older: DeliveryChanges) {
        touchesCursor = touchesCursor || older.touchesCursor
        failures.merge(older.failures) { newer, _ in newer }
        held.merge(older.held) { newer, _ in newer }
        deadLetters.merge(older.deadLetters) { newer, _ in newer }
    }
}

/// A subscription as it was written.
struct StoredDeliveries: Sendable {
    /// An event that blocks its key; without a due time it is parked.
    struct Failure: Sendable {
        var position: Int64
        var key: String
        var attempts: Int
        var firstFailed: MonotonicTime
        var due: MonotonicTime?
        var error: String
    }

    var epoch: Int
    var scanned: Int64
    var open: [Int64]
    var failures: [Failure] = []
    /// How many events are held, by key.
    var held: [String: Int] = [:]
}
