/// What a request has to say besides its path and method for a route to take it.
public struct RouteCondition: Sendable, Hashable, CustomStringConvertible {
    /// Where it is said.
    public enum Part: Sendable, Hashable {
        /// In a header field, whose name is compared whatever its case.
        case header(String)
        /// In a parameter of the query.
        case query(String)
    }

    /// Where it is said.
    public var part: Part
    /// What is said; nil if it only has to be there.
    public var value: String?

    /// Whether it must not be there at all; then there is no value.
    public var isAbsent = false

    /// A condition that `part` is not there.
    public static func absent(_ part: Part) -> RouteCondition {
        var condition = RouteCondition(part)
        condition.isAbsent = true
        return condition
    }

    /// A condition that `part` says `value`, or is there at all.
    public init(_ part: Part, _ value: String? = nil) {
        self.part = part
        self.value = value
    }

    public var description: String {
        if isAbsent {
            return switch part {
            case .header(let name): "no header \(name)"
            case .query(let name): "no query \(name)"
            }
        }
        return switch part {
        case .header(let name): "header \(name)\(value.map { " is '\($0)'" } ?? "")"
        case .query(let name): "query \(name)\(value.map { " is '\($0)'" } ?? "")"
        }
    }
}

/// A condition as the router asks it.
struct CompiledCondition: Sendable {
    private let isHeader: Bool
    private let name: [UInt8]
    private let value: [UInt8]?
    private let isAbsent: Bool

    init(_ condition: RouteCondition) {
        switch condition.part {
        case .header(let name):
            isHeader = true
            self.name = name.utf8.map(lowercased)
        case .query(let name):
            isHeader = false
            self.name = Array(name.utf8)
        }
        value = condition.value.map { Array($0.utf8) }
        isAbsent = condition.isAbsent
    }

    /// Whether a head says it, or, where it must not, does not.
    func holds(in bytes: UnsafeRawBufferPointer, query: ByteRange?, fields: [HeaderField]) -> Bool {
        says(in: bytes, query: query, fields: fields) != isAbsent
    }

    /// Whether the request that a cross-origin preflight asks for may say it, or, where it must not, need not.
    ///
    /// Of its fields a preflight names those that the page sets, and no values (Fetch standard, 4.8). Others come from the browser, which does not
    /// tell of them: cookies, languages, what is accepted.
    func mayHold(in bytes: UnsafeRawBufferPointer, query: ByteRange?, fields: [HeaderField]) -> Bool {
        guard isHeader else { return holds(in: bytes, query: query, fields: fields) }
        if CompiledCondition.areBrowsers.contains(name) || name.starts(with: Array("sec-".utf8)) { return true }
        var isNamed = false
        for field in fields where bytes[field.name].equalsIgnoringCase("access-control-request-headers") {
            bytes[field.value].forEachListElement { if $0.equalsIgnoringCase(name) { isNamed = true } }
        }
        return isNamed != isAbsent
    }

    /// Fields that a browser sends with no word in the preflight.
    private static let areBrowsers: Set<[UInt8]> = Set(
        [
            "accept", "accept-charset", "accept-encoding", "accept-language", "content-language", "content-type",
            "cookie",
            "dnt", "host", "origin", "range", "referer", "user-agent", "via",
        ].map { Array($0.utf8) })

    /// Whether a head says it; any of several fields or parameters of the name may.
    private func says(in bytes: UnsafeRawBufferPointer, query: ByteRange?, fields: [HeaderField]) -> Bool {
        if isHeader {
            return fields.contains { field in
                bytes[field.name].equalsIgnoringCase(name)
                    && (value.map { bytes[field.value].elementsEqual($0) } ?? true)
            }
        }
        guard let query else { return false }
        return bytes[query].split(separator: 0x26).contains { pair in
            let parts = pair.split(separator: 0x3D, maxSplits: 1, omittingEmptySubsequences: false)
            return FormBytes(parts[0]).elementsEqual(name)
                && (value.map { FormBytes(parts.count > 1 ? parts[1] : parts[0].prefix(0)).elementsEqual($0) } ?? true)
        }
    }
}

/// Bytes of a form-encoded name or value, decoded as they are read: `%41` and `+`. A broken escape stands for itself.
private struct FormBytes: Sequence, IteratorProtocol {
    private var rest: Slice<UnsafeRawBufferPointer>

    init(_ bytes: Slice<UnsafeRawBufferPointer>) { rest = bytes }

    mutating func next() -> UInt8? {
        guard let first = rest.popFirst() else { return nil }
        if first == 0x2B { return 0x20 }
        guard first == 0x25, let high = rest.first.flatMap(FormBytes.digit),
            let low = rest.dropFirst().first.flatMap(FormBytes.digit)
        else { return first }
        rest = rest.dropFirst(2)
        return high << 4 | low
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x37
        case 0x61...0x66: byte - 0x57
        default: nil
        }
    }
}
