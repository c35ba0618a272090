/// What was asked of one value: as what it was read, or which members.
final class Record {
    /// What was asked about one member; or, without a name, about the value itself.
    struct Asked {
        var name: String?
        /// As what it was read; nil if only whether it is there, or null, was asked.
        var type: (any Decodable.Type)?
        /// What was asked of an object that was read in place.
        var members: Record?
        /// Whether it has to be there.
        var isRequired = true
        /// Whether it may be null.
        var isNullable = false
    }

    let probe: Probe
    /// In order of the first question.
    private(set) var asked: [Asked] = []
    /// Whether it was read as an object.
    private(set) var isObject = false
    /// Whether a name is one of those that the type reads; none if it reads any.
    private var knows: [(String) -> Bool] = []

    init(_ probe: Probe) {
        self.probe = probe
    }

    /// It is read as an object with such keys.
    func open<Key: CodingKey>(_ keys: Key.Type) {
        probe.touch(nil)
        isObject = true
        let takesAny = Key(stringValue: "\u{0}") != nil
        if !takesAny { knows.append { Key(stringValue: $0) != nil } }
    }

    func hasKey(for name: String) -> Bool { knows.contains { $0(name) } }

    subscript(name: String?) -> Asked? { asked.first { $0.name == name } }

    /// Notes a question about a member, or the value itself.
    private func note(_ name: String?, _ fresh: Asked, _ change: (inout Asked) -> Void) {
        probe.touch(name)
        let place = asked.firstIndex { $0.name == name } ?? asked.count
        if place == asked.count { asked.append(fresh) }
        change(&asked[place])
    }

    func contains(_ name: String) -> Bool {
        // Who asks whether a member is there bears that it is not, or null.
        note(name, Asked(name: name, isRequired: false, isNullable: true)) { _ in }
        return probe.placeholders.plenty
    }

    func isNull(_ name: String?) -> Bool {
        note(name, Asked(name: name)) { $0.isNullable = true }
        return !probe.placeholders.plenty
    }

    func read<T: Decodable>(_ type: T.Type, _ name: String?) throws -> T {
        note(name, Asked(name: name)) { asked in
            if let other = asked.type, other != type {
                _ = probe.beyond(
                    name, "it is read as \(SchemaCatalog.name(of: other)) and as \(SchemaCatalog.name(of: type))")
            }
            asked.type = type
        }
        return try probe.value(type)
    }

    /// The record of an object that is read in place.
    func members(_ name: String) -> Record {
        let record = self[name]?.members ?? Record(probe)
        note(name, Asked(name: name)) { $0.members = record }
        return record
    }
}
