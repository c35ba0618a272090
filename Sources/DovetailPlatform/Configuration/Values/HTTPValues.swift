import DovetailGateway

/// A token (RFC 9110, 5.6.2).
enum HTTPToken {
    static func isValid(_ text: some StringProtocol) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy { byte in
                (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
                    || "!#$%&'*+-.^_`|~".utf8.contains(byte)
            }
    }
}

/// Parts of HTTP as a configuration file names them.
extension ConfigurationType where Value == String {
    /// A method that the gateway forwards.
    static var method: ConfigurationType {
        text(
            "a method in capitals such as GET or PROPFIND, but for TRACE and CONNECT",
            pattern: "^(?!(TRACE|CONNECT)$)[A-Z][A-Z0-9_-]{0,31}$", example: "GET"
        ) { text in
            let isName = text.utf8.allSatisfy {
                (65...90).contains($0) || (48...57).contains($0) || $0 == 45 || $0 == 95
            }
            let begins = text.utf8.first.map { (65...90).contains($0) } ?? false
            return isName && begins && text.utf8.count <= 32 && text != "TRACE" && text != "CONNECT" ? text : nil
        }
    }

    /// A header field's name (RFC 9110, 5.1).
    static var headerName: ConfigurationType {
        text("a header's name such as X-Tenant", pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", example: "x") {
            HTTPToken.isValid($0) ? $0 : nil
        }
    }

    /// A scope (RFC 6749, 3.3).
    static var scope: ConfigurationType {
        text("a scope such as orders:write", pattern: "^[!#-\\[\\]-~]+$", example: "scope") { text in
            let isScope = text.utf8.allSatisfy { (33...126).contains($0) && $0 != 34 && $0 != 92 }
            return isScope && !text.isEmpty ? text : nil
        }
    }

    /// An origin (RFC 6454), or `*` for all.
    static var origin: ConfigurationType {
        text(
            "an origin such as https://shop.example, or *", pattern: "^(\\*|https?://[A-Za-z0-9.:\\[\\]-]+)$",
            example: "*"
        ) { text in text == "*" || (!text.hasSuffix("/") && ServerURL(text) != nil) ? text : nil }
    }

    /// A host's name, without a port.
    static var hostName: ConfigurationType {
        text("a host name such as api.shop.example", pattern: "^[A-Za-z0-9.-]+$", example: "localhost") { text in
            guard case .tcp(let host, _)? = ListenAddress(text + ":80"), host == text else { return nil }
            return text.lowercased()
        }
    }

    /// A header field's value.
    static var headerValue: ConfigurationType {
        scalar("a header's value", schema: ["type": ["string", "number", "boolean"]], example: "") { text in
            text.utf8.allSatisfy { $0 == 9 || ($0 >= 32 && $0 != 127) } ? text : nil
        }
    }

    /// A range of IP addresses.
    static var addressRange: ConfigurationType {
        text("an address or a range such as 10.0.0.0/8", pattern: "^[0-9A-Fa-f.:]+(/[0-9]+)?$", example: "::") {
            AddressRange($0)?.description
        }
    }

    /// A route's path: `/api`, `/files/{name}`, `/legacy/**`.
    static var routePath: ConfigurationType {
        text("a path such as /api, /files/{name} or /legacy/**", pattern: "^/[!-~]*$", example: "/") { text in
            RoutePath.isValid(text) ? text : nil
        }
    }
}

/// A route's path that is no expression.
enum RoutePath {
    static func isValid(_ text: String) -> Bool {
        guard text.hasPrefix("/"), !text.contains("//"), !text.contains("?"), !text.contains("#"),
            text.utf8.allSatisfy({ (33...126).contains($0) })
        else { return false }
        let segments = text.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        for (index, segment) in segments.enumerated() where segment.contains(where: { "*{}".contains($0) }) {
            let isParameter =
                segment.hasPrefix("{") && segment.hasSuffix("}")
                && ConfigurationName.isValid(String(segment.dropFirst().dropLast()))
            guard isParameter || (segment == "**" && index == segments.count - 1) else { return false }
        }
        let mixes = segments.last == "**" && segments.contains { $0.hasPrefix("{") }
        return !mixes && !segments.contains(".") && !segments.contains("..")
    }
}

extension ConfigurationType where Value == PlatformConfiguration.Route.Authentication {
    /// An authenticator's name, or `none`.
    static var routeAuthentication: ConfigurationType {
        text("an authenticator's name, or none", pattern: ConfigurationName.pattern, example: .none) { text in
            guard ConfigurationName.isValid(text) else { return nil }
            return text == "none" ? PlatformConfiguration.Route.Authentication.none : .authenticator(text)
        }
    }
}

extension ConfigurationType where Value == PlatformConfiguration.RouteRateLimit.Key {
    /// What tells callers apart.
    static var rateLimitKey: ConfigurationType {
        text(
            "principal, address, route or header:name",
            pattern: "^(principal|address|route|header:[!#$%&'*+.^_`|~0-9A-Za-z-]+)$",
            example: .address
        ) { text in
            switch text {
            case "principal": return .principal
            case "address": return .address
            case "route": return .route
            default:
                guard text.hasPrefix("header:") else { return nil }
                let name = text.dropFirst(7)
                return HTTPToken.isValid(name) ? .header(name.lowercased()) : nil
            }
        }
    }
}

extension ConfigurationType where Value == PlatformConfiguration.Upstream.HashKey {
    /// What decides which server a request goes to.
    static var hashKey: ConfigurationType {
        text(
            "principal, address, path or header:name",
            pattern: "^(principal|address|path|header:[!#$%&'*+.^_`|~0-9A-Za-z-]+)$", example: .address
        ) { text in
            switch text {
            case "principal": return .principal
            case "address": return .address
            case "path": return .path
            default:
                guard text.hasPrefix("header:") else { return nil }
                let name = text.dropFirst(7)
                return HTTPToken.isValid(name) ? .header(name.lowercased()) : nil
            }
        }
    }
}

extension ConfigurationType where Value == DovetailGateway.Upstream.HostHeader {
    /// Which `Host` servers are told.
    static var hostHeader: ConfigurationType {
        text(
            "client, server or a host name such as api.internal:8443", pattern: "^[A-Za-z0-9.-]+(:[0-9]+)?$",
            example: .client
        ) { text in
            switch text {
            case "client": return .client
            case "server": return .server
            default:
                let whole = text.contains(":") ? text : text + ":80"
                guard let first = text.first, first != ":", case .tcp? = ListenAddress(whole) else { return nil }
                return .fixed(text.lowercased())
            }
        }
    }
}

extension ConfigurationType where Value == ClosedRange<Int> {
    /// Statuses of answers: `200` or `200-399`.
    static var statuses: ConfigurationType {
        let schema: SchemaValue = [
            "anyOf": [
                ["type": "string", "pattern": "^[1-5][0-9]{2}(-[1-5][0-9]{2})?$"],
                ["type": "integer", "minimum": 100, "maximum": 599],
            ]
        ]
        return scalar("a status or a range such as 200-399", schema: schema, example: 200...399) { text in
            let parts = text.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
            guard (1...2).contains(parts.count), let first = parts.first ?? nil, let last = parts.last ?? nil,
                (100...599).contains(first), first <= last, last <= 599
            else { return nil }
            return first...last
        }
    }
}
