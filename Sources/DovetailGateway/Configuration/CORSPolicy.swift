import HTTPTypes

/// Which web pages of other origins may use a route (Fetch standard, CORS protocol).
public struct CORSPolicy: Sendable, Hashable {
    /// Origins as browsers send them, `https://shop.example`; `*` for any.
    public var allowOrigins: Set<String>
    /// Methods that pages may use; empty for the route's.
    public var allowMethods: Set<HTTPRequest.Method>
    /// Fields that pages may send beyond the safelisted ones.
    public var allowHeaders: [String]
    /// Fields of the answer that pages may read beyond the safelisted ones.
    public var exposeHeaders: [String]
    /// Whether pages may send credentials. Never together with the origin `*`.
    public var allowCredentials: Bool
    /// How long a browser may remember a preflight's answer.
    public var maxAge: Duration

    /// A policy for `allowOrigins`.
    public init(
        allowOrigins: Set<String>, allowMethods: Set<HTTPRequest.Method> = [],
        allowHeaders: [String] = ["authorization", "content-type", "idempotency-key", "x-correlation-id"],
        exposeHeaders: [String] = ["x-correlation-id"], allowCredentials: Bool = false,
        maxAge: Duration = .seconds(600)
    ) {
        self.allowOrigins = allowOrigins
        self.allowMethods = allowMethods
        self.allowHeaders = allowHeaders
        self.exposeHeaders = exposeHeaders
        self.allowCredentials = allowCredentials
        self.maxAge = maxAge
    }
}
