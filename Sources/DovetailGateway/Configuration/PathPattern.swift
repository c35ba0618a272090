/// Which paths a route takes: `/health` exactly, `/legacy/**` and everything below, `/api/orders/{id}` by template, or by a regular expression that
/// stands behind a tilde: `~ ^/items/(?<id>[0-9]+)$`.
///
/// Paths are compared in canonical form: escapes of plain characters are undone, all other escapes are in upper case.
public struct PathPattern: Sendable, Hashable, CustomStringConvertible {
    /// One segment of a pattern.
    enum Segment: Sendable, Hashable {
        case literal(String)
        case capture(String)
    }

    /// How much of a path a pattern says, in order of precedence.
    public enum Kind: Int, Sendable, Hashable {
        /// The whole path.
        case exact
        /// The whole path, with segments left open.
        case template
        /// The whole path, by a regular expression. Beside a prefix the one goes first whose literal beginning is longer.
        case expression
        /// The beginning of the path, by whole segments.
        case prefix
    }

    /// The pattern as written.
    public let description: String
    /// How much of a path it says.
    public let kind: Kind
    let segments: [Segment]
    let expression: PathExpression?

    /// Reads a pattern; throws ``GatewayConfigurationError`` with the reason if it is none.
    public init(_ text: String) throws(GatewayConfigurationError) {
        func refuse(_ reason: String) -> GatewayConfigurationError {
            GatewayConfigurationError("path '\(text)' \(reason)")
        }
        if text.utf8.first == UInt8(ascii: "~") {
            description = text
            kind = .expression
            segments = []
            do throws(GatewayConfigurationError) {
                expression = try PathExpression(String(text.dropFirst().drop { $0 == " " }))
            } catch {
                throw refuse(error.description)
            }
            return
        }
        expression = nil
        guard text.utf8.first == UInt8(ascii: "/") else { throw refuse("has to begin with a slash") }
        description = text
        var parts = text.dropFirst().split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        let isPrefix = parts.last == "**"
        if isPrefix { parts.removeLast() }
        var segments: [Segment] = []
        var names: Set<String> = []
        for (index, part) in parts.enumerated() {
            if part.hasPrefix("{"), part.hasSuffix("}") {
                let name = String(part.dropFirst().dropLast())
                guard !name.isEmpty, name.utf8.allSatisfy(ByteClass.unreserved.contains) else {
                    throw refuse("has a capture without a plain name")
                }
                guard names.insert(name).inserted else { throw refuse("captures '\(name)' twice") }
                segments.append(.capture(name))
                continue
            }
            guard !part.isEmpty || (index == parts.count - 1 && !isPrefix) else { throw refuse("has an empty segment") }
            guard part.utf8.allSatisfy({ ByteClass.path.contains($0) || $0 == 0x25 }), !part.contains("*") else {
                throw refuse("has a character that has to be escaped; '**' may only stand at the end")
            }
            segments.append(.literal(part))
        }
        guard names.count <= Router.maximumCaptures else {
            throw refuse("captures more than \(Router.maximumCaptures) segments")
        }
        if isPrefix, !names.isEmpty { throw refuse("mixes captures with '**'") }
        self.segments = segments
        kind = isPrefix ? .prefix : names.isEmpty ? .exact : .template
    }

    /// The names captured, in order.
    var captures: [String] {
        if let expression { return expression.captures }
        return segments.compactMap { if case .capture(let name) = $0 { name } else { nil } }
    }
}
