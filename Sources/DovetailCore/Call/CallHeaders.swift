import HTTPTypes

extension HTTPField.Name {
    /// `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): the caller's key, a bare token or a quoted string.
    public static let idempotencyKey = known("idempotency-key")
    /// `X-Correlation-ID`: names the flow; given back in every answer.
    public static let correlationID = known("x-correlation-id")
    /// `X-Causation-ID`: the id of what caused this request.
    public static let causationID = known("x-causation-id")
    /// `Dovetail-Timeout`: milliseconds the caller will still wait; a hop passes on what is left.
    public static let dovetailTimeout = known("dovetail-timeout")
    /// `Dovetail-Principal`: who the call is for, from the gateway or another node; JSON in base64url. Believed only with
    /// `Dovetail-Node-Token` or in process, and stripped by the gateway from what comes from outside.
    public static let dovetailPrincipal = known("dovetail-principal")
    /// `Dovetail-Node-Token`: the secret that nodes of one platform share.
    public static let dovetailNodeToken = known("dovetail-node-token")
    /// `Dovetail-Position`: the log position that a command reached.
    public static let dovetailPosition = known("dovetail-position")
    /// `Dovetail-After`: the log position that a query's read model must have reached.
    public static let dovetailAfter = known("dovetail-after")

    private static func known(_ name: String) -> HTTPField.Name {
        guard let field = HTTPField.Name(name) else { preconditionFailure("'\(name)' is no header name") }
        return field
    }
}
