/// Requests signed with a secret that both sides know (RFC 9421, `hmac-sha256`), with a digest of their body (RFC 9530).
///
/// A signature covers `@method`, `@authority`, `@path` and `@query` at least (or `@target-uri` in place of the last three), `content-digest` where there is
/// a body, and says when it was made, by whom, and a nonce that it alone has.
public struct SignatureAuthentication: Sendable, Hashable {
    /// Who signs, each with a secret of 16 bytes or more.
    public var keys: [Credential]
    /// How far the time of a signature may be from the gateway's.
    public var maximumSkew: Duration
    /// Fields that a signature has to cover besides.
    public var requiredFields: Set<String>
    /// The largest body that is held until its digest is known.
    public var maximumBodyBytes: Int
    /// Nonces that are remembered, in all of the gateway; when they are more within the time, nobody is let in.
    public var maximumNonces: Int

    /// Five minutes, a body of 1 MiB and 100,000 nonces unless given.
    public init(
        keys: [Credential], maximumSkew: Duration = .seconds(300), requiredFields: Set<String> = [],
        maximumBodyBytes: Int = 1_048_576, maximumNonces: Int = 100_000
    ) {
        self.keys = keys
        self.maximumSkew = maximumSkew
        self.requiredFields = requiredFields
        self.maximumBodyBytes = maximumBodyBytes
        self.maximumNonces = maximumNonces
    }

    /// What is wrong with it, in words; nil if nothing is.
    var flaw: String? {
        guard maximumSkew > .zero, maximumSkew <= .seconds(86_400), maximumBodyBytes >= 0, maximumNonces > 0 else {
            return "has a skew that is not between nothing and a day, or a bound below what can be"
        }
        for key in keys where key.subject.isEmpty || key.secret.utf8.count < 16 {
            return "has the key '\(key.subject)', which needs a name and a secret of 16 bytes or more"
        }
        guard Set(keys.map(\.subject)).count == keys.count else { return "has a key twice" }
        for name in requiredFields where name.isEmpty || !name.utf8.allSatisfy(ByteClass.token.contains) {
            return "requires '\(name)', which is no header's name"
        }
        return nil
    }
}
