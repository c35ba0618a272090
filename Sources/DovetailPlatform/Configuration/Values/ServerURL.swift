/// The origin of a server: scheme, host and port, without a path.
public struct ServerURL: Sendable, Hashable, CustomStringConvertible {
    /// Whether it is `https`.
    public let isSecure: Bool
    /// The host: a name or an IP address, without brackets.
    public let host: String
    /// The port; 80 or 443 where none is written.
    public let port: Int

    /// Reads `http://10.0.0.5:3000`, `https://api.example`, `http://[::1]:80`, with or without a slash at the end.
    public init?(_ text: String) {
        let rest: Substring
        if text.hasPrefix("http://") {
            (isSecure, rest) = (false, text.dropFirst(7))
        } else if text.hasPrefix("https://") {
            (isSecure, rest) = (true, text.dropFirst(8))
        } else {
            return nil
        }
        let authority = rest.hasSuffix("/") ? rest.dropLast() : rest
        let afterHost = authority.lastIndex(of: "]") ?? authority.startIndex
        let hasPort = authority[afterHost...].contains(":")
        let standard = isSecure ? ":443" : ":80"
        guard case .tcp(let host, let port)? = ListenAddress(hasPort ? String(authority) : authority + standard),
            !authority.hasPrefix(":"), !authority.isEmpty
        else { return nil }
        self.host = host
        self.port = port
    }

    public var description: String {
        "\(isSecure ? "https" : "http")://\(ListenAddress.tcp(host: host, port: port))"
    }
}

extension ConfigurationType where Value == ServerURL {
    /// The origin of a server.
    static var serverURL: ConfigurationType {
        text(
            "a URL such as http://10.0.0.5:3000, without a path",
            pattern: "^https?://([A-Za-z0-9.-]+|\\[[0-9A-Fa-f:.]+\\])(:[0-9]{1,5})?/?$",
            example: ServerURL.placeholder, parse: ServerURL.init)
    }
}

extension ServerURL {
    fileprivate static let placeholder = ServerURL(isSecure: false, host: "localhost", port: 80)

    private init(isSecure: Bool, host: String, port: Int) {
        self.isSecure = isSecure
        self.host = host
        self.port = port
    }
}
