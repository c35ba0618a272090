import NIOCore

/// An answer that sends the client elsewhere (RFC 9110 15.4).
public struct Redirect: Sendable, Hashable {
    /// 301, 302, 303, 307 or 308.
    public var status: Int
    /// `https`, for one; nil for the client's.
    public var scheme: String?
    /// A host, with its port where it has one; nil for the client's.
    public var host: String?

    /// A redirect; its path is the client's as the route's rewrite makes it, with the query.
    public init(status: Int = 308, scheme: String? = nil, host: String? = nil) {
        self.status = status
        self.scheme = scheme
        self.host = host
    }
}

extension Exchange {
    /// Answers with where to go.
    func redirect(_ redirect: Redirect) {
        var location = ByteBuffer()
        headBytes.withUnsafeReadableBytes { bytes in
            if redirect.scheme != nil || redirect.host != nil {
                location.writeString("\(redirect.scheme ?? (client.isSecure ? "https" : "http"))://")
                if let host = redirect.host {
                    location.writeString(host)
                } else {
                    location.writeBytes(bytes[head.host])
                }
            }
            writePath(into: &location, bytes)
            if let query = head.query {
                location.writeInteger(UInt8(0x3F))
                location.writeBytes(bytes[query])
            }
        }
        answer(
            status: redirect.status, reason: Exchange.reason(of: redirect.status),
            fields: edited([("location", String(buffer: location))]), body: [])
    }
}
