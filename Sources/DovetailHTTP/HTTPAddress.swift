/// Where a node is reached, or listens: a host and port, or a Unix socket.
public enum HTTPAddress: Hashable, Sendable, CustomStringConvertible {
    /// A host name or IP address, and a port; as something to listen on, port 0 takes any free one.
    case tcp(host: String, port: Int)
    /// A Unix socket's path.
    case unix(path: String)

    /// Reads `127.0.0.1:8080`, `[::1]:8080`, `http://host:port` or `unix:data/admin.sock`; nil for anything else.
    public init?(_ text: String) {
        if text.hasPrefix("unix:") {
            let path = text.dropFirst("unix:".count)
            guard !path.isEmpty else { return nil }
            self = .unix(path: String(path))
            return
        }
        var authority = text[...]
        if authority.hasPrefix("http://") {
            authority = authority.dropFirst("http://".count)
            if authority.hasSuffix("/") { authority = authority.dropLast() }
        }
        guard let colon = authority.lastIndex(of: ":"),
            let port = UInt16(authority[authority.index(after: colon)...])
        else { return nil }
        var host = authority[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        guard !host.isEmpty, !host.contains(where: { "/@[] ".contains($0) }) else { return nil }
        self = .tcp(host: String(host), port: Int(port))
    }

    /// The address in the form that is read: `127.0.0.1:8080`, `unix:data/admin.sock`.
    public var description: String {
        switch self {
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }
}
