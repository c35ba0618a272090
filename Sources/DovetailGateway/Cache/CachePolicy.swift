/// What a route keeps of its answers (RFC 9111). What an upstream says about them comes first.
public struct CachePolicy: Sendable, Hashable {
    /// How long an answer is fresh that does not say so itself; nil: such a one is not kept.
    public var freshFor: Duration?
    /// How long after that it may be served while one request fetches it anew (RFC 5861 3), where the answer does not say so itself.
    public var staleWhileRevalidate: Duration
    /// How long after that it may be served where the upstream fails (RFC 5861 4), where the answer does not say so itself.
    public var staleIfError: Duration
    /// Bytes of an answer's body at most; larger ones are passed on and not kept.
    public var maximumBodyBytes: Int

    /// A policy that keeps what says it may be kept.
    public init(
        freshFor: Duration? = nil, staleWhileRevalidate: Duration = .zero, staleIfError: Duration = .zero,
        maximumBodyBytes: Int = 1_048_576
    ) {
        self.freshFor = freshFor
        self.staleWhileRevalidate = staleWhileRevalidate
        self.staleIfError = staleIfError
        self.maximumBodyBytes = maximumBodyBytes
    }
}
