import DovetailCore

/// Reading what older versions of the program have stored.
extension Event {
    /// The next version of this event, whose payload `change` makes of the present one: an upcaster.
    ///
    /// An event's whole history is one expression, from the oldest payload that a log may still hold to today's. Each step says what is
    /// new, once; aggregates, read models and typed subscriptions all read old events through it. The log is not changed.
    ///
    ///     let placed = Event("order.placed", PlacedV1.self, key: \.id)
    ///         .upcast(to: Placed.self, key: \.id) { Placed(id: $0.id, cents: $0.cents, currency: "EUR") }
    ///
    /// `change` is pure, and a ``Personal`` value that it makes is absent if its subject is forgotten. What it throws makes the event unreadable, with an ``UpcastError`` that names the step.
    public func upcast<Next: Wire>(
        to payload: Next.Type, key: any KeyPath<Next, String> & Sendable,
        _ change: @escaping @Sendable (Payload) throws -> Next
    ) -> Event<Next> {
        let (name, version) = (name, version)
        let step: @Sendable (Payload) throws -> Next = { old in
            do { return try PersonalData.$isUpcasting.withValue(true) { try change(old) } } catch {
                throw UpcastError(event: name, from: version, cause: error)
            }
        }
        var readers: [Int: @Sendable ([UInt8]) throws -> Next] = older.mapValues { read in { try step(read($0)) } }
        readers[version] = { try step(JSON.decode(Payload.self, from: $0)) }
        return Event<Next>(name: name, version: version + 1, key: key, older: readers)
    }

    /// The versions whose stored payloads can be read: this one, and those that upcasters lead from.
    public var versions: ClosedRange<Int> { (older.keys.min() ?? version)...version }

    /// A stored payload of a version, brought up to this one.
    ///
    /// Throws ``EventVersionError`` for a version that no upcaster leads from, ``JSONError`` where the bytes are not what that version
    /// says, and ``UpcastError`` where a step fails.
    public func decode(_ data: [UInt8], version stored: Int) throws -> Payload {
        if stored == version { return try JSON.decode(Payload.self, from: data) }
        guard let read = older[stored] else {
            throw EventVersionError(event: name, stored: stored, wanted: version, oldest: versions.lowerBound)
        }
        return try read(data)
    }
}

/// A stored version of an event that today's code cannot read: an upcaster is missing, or the code is older than the log.
public struct EventVersionError: Error, Hashable, CustomStringConvertible {
    /// The topic.
    public var event: String
    /// The version that was stored.
    public var stored: Int
    /// The version that was asked for.
    public var wanted: Int
    /// The oldest version that can be read.
    public var oldest: Int

    /// A version that cannot be read.
    public init(event: String, stored: Int, wanted: Int, oldest: Int) {
        self.event = event
        self.stored = stored
        self.wanted = wanted
        self.oldest = oldest
    }

    public var description: String {
        if stored > wanted {
            return
                "'\(event)' is stored in version \(stored), and this program knows it up to version \(wanted): the program is older than the log; run the newer one"
        }
        return
            "'\(event)' is stored in version \(stored), and version \(wanted) is asked for: no upcaster leads from version \(stored). Declare the event from there: Event(\"\(event)\", version: \(stored), …).upcast(to: …), up to version \(oldest)"
    }
}

/// An upcaster that could not make the next version's payload of a stored one.
public struct UpcastError: Error, CustomStringConvertible {
    /// The topic.
    public var event: String
    /// The version it begins at; it leads to the next.
    public var from: Int
    /// Why it failed.
    public var cause: any Error

    public var description: String {
        "the upcaster of '\(event)' from version \(from) to \(from + 1) failed: \(cause)"
    }
}
