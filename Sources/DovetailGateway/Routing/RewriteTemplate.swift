/// A rewritten path as literal bytes and places of captures.
struct RewriteTemplate: Sendable {
    enum Part: Sendable {
        case literal([UInt8])
        case capture(Int)
    }

    let parts: [Part]

    /// Reads `/v1/orders/{id}`; every name in braces has to be one of `captures`.
    init(_ text: String, captures: [String], route: String) throws(GatewayConfigurationError) {
        let pattern: PathPattern
        do throws(GatewayConfigurationError) {
            pattern = try PathPattern(text)
        } catch {
            throw GatewayConfigurationError("route '\(route)' rewrites to a path that is none: \(error)")
        }
        guard pattern.kind == .exact || pattern.kind == .template else {
            throw GatewayConfigurationError(
                "route '\(route)' rewrites to '\(text)'; neither '**' nor an expression has a place there")
        }
        var parts: [Part] = []
        var literal: [UInt8] = []
        for segment in pattern.segments {
            literal.append(0x2F)
            switch segment {
            case .literal(let text): literal += Array(text.utf8)
            case .capture(let name):
                guard let index = captures.firstIndex(of: name) else {
                    throw GatewayConfigurationError(
                        "route '\(route)' rewrites with '{\(name)}', which its path does not capture")
                }
                parts += [.literal(literal), .capture(index)]
                literal = []
            }
        }
        if !literal.isEmpty { parts.append(.literal(literal)) }
        self.parts = parts
    }
}
