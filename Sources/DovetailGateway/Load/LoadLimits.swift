import DovetailResilience

/// How many requests may be in flight at the same time, and what happens to those beyond.
public struct InFlightPolicy: Sendable, Hashable {
    /// The most requests in flight, over all event loops.
    public var maximum: Int
    /// The most that wait for a place; none unless given, so that those beyond are answered 503 at once.
    public var maximumWaiting: Int
    /// How long one waits at most.
    public var longestWait: Duration

    /// A limit of `maximum`.
    public init(maximum: Int, maximumWaiting: Int = 0, longestWait: Duration = .milliseconds(500)) {
        self.maximum = maximum
        self.maximumWaiting = maximumWaiting
        self.longestWait = longestWait
    }
}

/// A limit on requests in flight that the gateway finds by how long an upstream's answers take.
public struct AdaptiveInFlightPolicy: Sendable, Hashable {
    /// How it is found.
    public var limit: AdaptiveLimitPolicy
    /// Whether it holds; otherwise metrics tell what it would have done.
    public var isEnforced: Bool

    /// A limit that holds, unless it is only to be observed.
    public init(_ limit: AdaptiveLimitPolicy = .init(), isEnforced: Bool = true) {
        self.limit = limit
        self.isEnforced = isEnforced
    }
}

/// What the gateway takes on in all. Beyond it, requests are answered 503 but for routes that are essential.
public struct LoadLimits: Sendable, Hashable {
    /// The most client connections; those beyond are closed at once. Counted are those made since the limit was set.
    public var maximumConnections: Int?
    /// The most requests in flight, over all event loops.
    public var maximumInFlight: Int?
    /// How late an event loop may be before it takes no more requests on.
    public var maximumLoopLag: Duration?

    /// No limits but those given.
    public init(maximumConnections: Int? = nil, maximumInFlight: Int? = nil, maximumLoopLag: Duration? = nil) {
        self.maximumConnections = maximumConnections
        self.maximumInFlight = maximumInFlight
        self.maximumLoopLag = maximumLoopLag
    }

    /// Whether a request has to be asked for.
    var concernsRequests: Bool { maximumInFlight != nil || maximumLoopLag != nil }
}
