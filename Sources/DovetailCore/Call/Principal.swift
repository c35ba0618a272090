/// Who a call is made for, as the gateway or the provider authenticated it.
public struct Principal: Hashable, Sendable, Codable {
    /// The identity's stable name: a token's `sub`, an API key's owner.
    public var subject: String

    /// What the principal may do; an endpoint's `requires` is checked against it.
    public var scopes: Set<String>

    /// The authenticator that vouched for it, as named in `platform.yaml`.
    public var issuer: String?

    /// A principal with these scopes.
    public init(subject: String, scopes: Set<String> = [], issuer: String? = nil) {
        self.subject = subject
        self.scopes = scopes
        self.issuer = issuer
    }
}
