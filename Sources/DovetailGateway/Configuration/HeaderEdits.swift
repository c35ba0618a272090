/// Changes to the fields of a head on its way through.
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
    /// The lines that are added.
    let lines: [UInt8]

    init(_ edits: HeaderEdits) {
        names = (Array(edits.set.keys) + Array(edits.remove)).map { $0.utf8.map(withDash) }
        lines = edits.set.sorted { $0.key < $1.key }.flatMap { Array("\($0.key): \($0.value)\r\n".utf8) }
    }

    /// Whether a field goes; one that differs by an underscore does too.
    func drops(_ name: UnsafeRawBufferPointer) -> Bool {
        names.contains { name.isAlike($0) }
    }
}
