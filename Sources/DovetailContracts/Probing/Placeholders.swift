/// Values that stand in for real ones while a type is tried out.
struct Placeholders {
    /// Whether there is one of all that may be missing, or nothing of it.
    var plenty: Bool
    /// How many types are being made around this one.
    private var depth = 0

    /// From here on lists are empty, so that a type that contains itself ends.
    private static let depthOfPlenty = 8
    /// A type that goes on beyond this contains itself without an end.
    private static let maximumDepth = 64

    init(plenty: Bool) {
        self.plenty = plenty
    }

    /// One more level in.
    private func deeper(than type: any Any.Type) throws -> Placeholders {
        guard depth < Placeholders.maximumDepth else {
            throw SchemaError(type: type, "it contains itself without an end")
        }
        var copy = self
        copy.depth += 1
        if copy.depth > Placeholders.depthOfPlenty { copy.plenty = false }
        return copy
    }

    /// A value of the type. Throws what its own `init(from:)` throws.
    func value<T: Decodable>(_ type: T.Type) throws -> T {
        if let native = Native.placeholder(type, plenty: plenty) { return native }
        if let providing = type as? any SchemaProviding.Type, let example = providing.example as? T { return example }
        if let cases = Native.cases(of: type)?.values, let value = (plenty ? cases.last : cases.first) as? T {
            return value
        }
        let inner = try deeper(than: type)
        if let collection = type as? any ProbedCollection.Type, let value = try collection.placeholder(inner) as? T {
            return value
        }
        return try T(from: ProbeDecoder(record: Record(Probe(inner))))
    }
}
