/// A second upstream that gets copies of a route's requests, and whose answers nobody sees.
public struct MirrorPolicy: Sendable, Hashable {
    /// The upstream.
    public var upstream: String
    /// Which share of the requests is copied, from 0 to 1.
    public var share: Double
    /// Whether requests whose method is not idempotent are copied too: what they do is then done twice.
    public var allMethods: Bool
    /// Bytes of a request's body at most; one with more is not copied, and counted.
    public var maximumBodyBytes: Int
    /// Copies in flight at most, on each event loop; what comes beyond is not copied, and counted.
    public var maximumInFlight: Int

    /// Copies of all requests with an idempotent method, of up to 64 KiB, 100 at a time.
    public init(
        to upstream: String, share: Double = 1, allMethods: Bool = false, maximumBodyBytes: Int = 65_536,
        maximumInFlight: Int = 100
    ) {
        self.upstream = upstream
        self.share = share
        self.allMethods = allMethods
        self.maximumBodyBytes = maximumBodyBytes
        self.maximumInFlight = maximumInFlight
    }
}

/// When a read is asked of a second server because the first one is slow.
public struct HedgePolicy: Sendable, Hashable {
    /// How long the first server has for its answer to begin; rather what nearly all answers take than what half of them do.
    public var after: Duration

    /// A second attempt after this time.
    public init(after: Duration) { self.after = after }
}
