import DovetailCore

/// What a claim of the principal has to say, as one loop asks it.
enum ClaimRequirement {
    case value(name: String, String)
    /// What the path captured, by its index.
    case capture(name: String, Int)

    /// Throws ``GatewayConfigurationError`` for a place that the route's path does not capture.
    init(_ name: String, _ value: String, route: Route) throws(GatewayConfigurationError) {
        guard value.hasPrefix("{"), value.hasSuffix("}") else {
            self = .value(name: name, value)
            return
        }
        guard let index = route.path.captures.firstIndex(of: String(value.dropFirst().dropLast())) else {
            throw GatewayConfigurationError(
                "route '\(route.id)' wants the claim '\(name)' to be '\(value)', which its path does not capture")
        }
        self = .capture(name: name, index)
    }

    var name: String {
        switch self {
        case .value(let name, _), .capture(let name, _): name
        }
    }
}

extension Exchange {
    /// Whether the principal's claims are what the route wants; false if the request was answered.
    func hasClaims(for route: CompiledRoute) -> Bool {
        for requirement in route.claims {
            let said = principal?.claims[requirement.name] ?? []
            let holds =
                switch requirement {
                case .value(_, let value): said.contains(value)
                case .capture(_, let index):
                    captures.ranges.indices.contains(index)
                        && said.contains(
                            headBytes.withUnsafeReadableBytes { Exchange.plain($0[captures.ranges[index]]) })
                }
            guard holds else {
                reject(
                    .forbidden,
                    Problem(
                        "forbidden", status: 403, detail: "this needs another value of the claim '\(requirement.name)'")
                )
                return false
            }
        }
        return true
    }

    /// A segment of a path without its escapes.
    private static func plain(_ bytes: UnsafeRawBufferPointer) -> String {
        var plain: [UInt8] = []
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "%"), bytes.count - index > 2, let high = hexValue(bytes[index + 1]),
                let low = hexValue(bytes[index + 2])
            {
                plain.append(high << 4 | low)
                index += 3
            } else {
                plain.append(bytes[index])
                index += 1
            }
        }
        return String(decoding: plain, as: UTF8.self)
    }
}
