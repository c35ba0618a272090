import DovetailGateway

/// Which changes of a configuration take away protection, as far as a key by itself can tell.
enum Protection {
    /// Whether the value at `path` protects less than before.
    static func isLess(_ path: [String], _ old: [ResolvedValue], _ new: [ResolvedValue]) -> Bool {
        let (was, becomes) = (old.map(\.description), new.map(\.description))
        let rule = path.filter { !$0.hasPrefix("[") }
        switch rule.first {
        case "gateway" where rule.count > 3 && rule[1] == "routes":
            return ofRoute(Array(rule.dropFirst(3)), old, new, was, becomes)
        case "gateway" where rule.count > 3 && rule[1] == "authentication":
            return ofAuthenticator(rule, old, new)
        case "gateway": return ofGateway(Array(rule.dropFirst()), old, new, was, becomes)
        case "admin" where rule.last == "token", "security" where rule.last == "nodeToken":
            return !old.isEmpty && new.isEmpty
        case "events": return ["publish", "read"].contains(rule.last) && gains(old, new)
        default: return false
        }
    }

    private static func gains(_ old: [ResolvedValue], _ new: [ResolvedValue]) -> Bool {
        new.contains { !old.contains($0) }
    }

    private static func ofRoute(
        _ key: [String], _ old: [ResolvedValue], _ new: [ResolvedValue], _ was: [String], _ becomes: [String]
    ) -> Bool {
        switch key.first {
        case "authentication": becomes == ["none"]
        case "scopes": gains(new, old)
        case "claims": new.isEmpty
        case "addresses" where key.last == "deny": reachesFurther(becomes, than: was)
        case "addresses": !was.isEmpty && (becomes.isEmpty || reachesFurther(was, than: becomes))
        case "rateLimit" where key.last == "rate", "maxInFlight": new.isEmpty
        default: false
        }
    }

    private static func ofAuthenticator(_ path: [String], _ old: [ResolvedValue], _ new: [ResolvedValue]) -> Bool {
        switch path.last {
        case "algorithms": gains(old, new)
        case "scopes": !path.contains("forward") && gains(old, new)
        case "covers": gains(new, old)
        default: false
        }
    }

    private static func ofGateway(
        _ key: [String], _ old: [ResolvedValue], _ new: [ResolvedValue], _ was: [String], _ becomes: [String]
    ) -> Bool {
        switch key.joined(separator: ".") {
        case "trustedProxies", "proxyProtocol.from": reachesFurther(was, than: becomes)
        case "cors.allowOrigins", "cors.allowMethods", "cors.allowHeaders", "cors.exposeHeaders": gains(old, new)
        case "cors.allowCredentials", "underscoresInHeaders": becomes == ["true"]
        case "tls.clientAuthorities": new.isEmpty
        case "tls.clientCertificates": becomes == ["optional"]
        case "limits.connections", "limits.inFlight": new.isEmpty
        default: false
        }
    }

    /// Whether a range of `becomes` holds what no single range of `was` does.
    private static func reachesFurther(_ was: [String], than becomes: [String]) -> Bool {
        becomes.contains { range in
            !was.contains { before in
                guard let one = AddressRange(before), let other = AddressRange(range) else { return before == range }
                return one.contains(other)
            }
        }
    }
}
