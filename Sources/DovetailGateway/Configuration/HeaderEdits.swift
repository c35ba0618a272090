/// Changes to the fields of a head on its way through, whoever answers: an upstream, a module in this process, the cache, the route itself by a redirect or
/// several answers as one. What the gateway answers in refusal is its own, and stays as it is.
///
/// Fields of framing, of the connection and of the platform itself cannot be changed.
public struct HeaderEdits: Sendable, Hashable {
    /// Fields that are set: those of the name that were there go.
    public var set: [String: String]
    /// Fields that go.
    public var remove: Set<String>

    /// Edits.
    public init(set: [String: String] = [:], remove: Set<String> = []) {
        self.set = set
        self.remove = remove
    }

    /// What is wrong with them, in words; nil if nothing is.
    public var flaw: String? {
        for name in Array(set.keys) + Array(remove) {
            let bytes = Array(name.utf8)
            guard !bytes.isEmpty, bytes.allSatisfy(ByteClass.token.contains) else {
                return "'\(name)' is no header's name"
            }
            switch bytes.withUnsafeBytes({ KnownField.of($0) }) {
            case .host, .contentLength, .transferEncoding, .expect, .connection, .hopByHop, .traceparent,
                .correlationID,
                .dovetail, .date:
                return "the header '\(name)' is the gateway's own to write"
            default: break
            }
        }
        for (name, value) in set where !value.utf8.allSatisfy(isFieldValueByte) {
            return "the value for the header '\(name)' holds a control character"
        }
        return nil
    }
}

/// Edits as they are made.
struct CompiledHeaderEdits {
    private let names: [[UInt8]]
    /// The fields that are added, and the same as lines.
    let added: [(name: String, value: String)]
    let lines: [UInt8]

    init(_ edits: HeaderEdits) {
        names = (Array(edits.set.keys) + Array(edits.remove)).map { $0.utf8.map(withDash) }
        added = edits.set.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        lines = edits.set.sorted { $0.key < $1.key }.flatMap { Array("\($0.key): \($0.value)\r\n".utf8) }
    }

    /// Whether a field goes; one that differs by an underscore does too.
    func drops(_ name: UnsafeRawBufferPointer) -> Bool {
        names.contains { name.isAlike($0) }
    }

    /// The fields as they are after it.
    func applied(to fields: [(String, String)]) -> [(String, String)] {
        fields.filter { field in
            !Array(field.0.utf8).withUnsafeBytes { drops($0) }
        } + added.map { ($0.name, $0.value) }
    }
}
