/// Where a server listens: a TCP port, or a Unix socket whose file mode says who may connect.
public enum ListenAddress: Sendable, Hashable, CustomStringConvertible {
    /// A port on a host; the host is a name or an IP address without brackets.
    case tcp(host: String, port: Int)
    /// A Unix socket at a path.
    case unix(path: String)

    /// Reads `127.0.0.1:8080`, `[::1]:80`, `localhost:80`, `:8080` (every interface) or `unix:path`.
    public init?(_ text: String) {
        if text.hasPrefix("unix:") {
            let path = text.dropFirst(5)
            // sun_path has room for 104 bytes on macOS and 108 on Linux, with the zero at the end.
            guard !path.isEmpty, path.utf8.count <= 103, path.utf8.allSatisfy({ $0 >= 32 }) else { return nil }
            self = .unix(path: String(path))
            return
        }
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let digits = text[text.index(after: colon)...]
        guard let port = Int(digits), (1...65_535).contains(port), digits.utf8.allSatisfy({ (48...57).contains($0) })
        else { return nil }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
            guard host.contains(":"), host.utf8.allSatisfy(ListenAddress.isIPv6Byte) else { return nil }
        } else {
            guard host.utf8.allSatisfy(ListenAddress.isHostByte) else { return nil }
        }
        self = .tcp(host: host.isEmpty ? "0.0.0.0" : String(host), port: port)
    }

    /// Whether only this machine can connect.
    public var isLocal: Bool {
        switch self {
        case .unix: true
        case .tcp(let host, _): host == "localhost" || host == "::1" || isIPv4Loopback(host)
        }
    }

    /// Whether it is every interface of the machine, so that nobody can connect to it by this name.
    public var isWildcard: Bool {
        guard case .tcp(let host, _) = self else { return false }
        return host == "0.0.0.0" || host == "::"
    }

    /// Whether two servers on one machine cannot listen on both.
    func collides(with other: ListenAddress) -> Bool {
        switch (self, other) {
        case (.unix(let path), .unix(let otherPath)): path == otherPath
        case (.tcp(let host, let port), .tcp(let otherHost, let otherPort)):
            port == otherPort && (host == otherHost || isWildcard || other.isWildcard || (isLocal && other.isLocal))
        default: false
        }
    }

    public var description: String {
        switch self {
        case .unix(let path): "unix:\(path)"
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        }
    }

    private func isIPv4Loopback(_ host: String) -> Bool {
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    private static func isIPv6Byte(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (97...102).contains(byte) || (65...70).contains(byte) || byte == 58 || byte == 46
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (97...122).contains(byte) || (65...90).contains(byte) || byte == 45 || byte == 46
    }
}

extension ConfigurationType where Value == ListenAddress {
    /// Where a server listens.
    static var address: ConfigurationType {
        text(
            "an address such as 127.0.0.1:8080, [::1]:8080, :8080 (every interface) or unix:path",
            pattern: "^(unix:.+|([A-Za-z0-9.-]*|\\[[0-9A-Fa-f:.]+\\]):[0-9]{1,5})$",
            example: .tcp(host: "127.0.0.1", port: 8080), parse: ListenAddress.init)
    }
}
