import DovetailCore

/// What happens to an event whose handler failed: how often it is tried again, and when.
///
/// First come immediate attempts, for glitches; then delayed ones with exponential backoff and full jitter; then the dead letters.
public struct RedeliveryPolicy: Sendable {
    /// Attempts made at once after the first.
    public var immediate: Int
    /// Attempts made later, after those.
    public var delayed: Int
    /// The longest pause before the first delayed attempt; it doubles with each, and the pause is drawn from zero up to it.
    public var baseDelay: Duration
    /// The longest pause of all.
    public var maximumDelay: Duration
    /// Whether another attempt may help. By default not for a failure that says itself that it is permanent, as a problem from another module.
    public var isRetryable: @Sendable (any Error) -> Bool

    /// A policy; by default eight attempts within some minutes.
    public init(
        immediate: Int = 2, delayed: Int = 5, baseDelay: Duration = .seconds(1), maximumDelay: Duration = .seconds(120),
        isRetryable: @escaping @Sendable (any Error) -> Bool = RedeliveryPolicy.mayPass
    ) {
        self.immediate = immediate
        self.delayed = delayed
        self.baseDelay = baseDelay
        self.maximumDelay = maximumDelay
        self.isRetryable = isRetryable
    }

    /// No second attempt: the first failure goes to the dead letters.
    public static let none = RedeliveryPolicy(immediate: 0, delayed: 0)

    /// Whether a failure may pass by itself: all but the permanent ones. A version conflict passes: the handler decides anew.
    public static let mayPass: @Sendable (any Error) -> Bool = { error in
        if let error = error as? LogError { return error.code != .forbidden }
        return (error as? any ClassifiedFailure)?.failureKind != .permanent
    }

    /// What to do after a failure.
    enum Verdict: Equatable {
        case immediately
        case later(Duration)
        case giveUp
    }

    /// What to do after attempt number `attempts` failed; `jitter` is drawn from 0 to 1.
    func verdict(after attempts: Int, _ error: any Error, jitter: Double) -> Verdict {
        guard isRetryable(error), attempts <= immediate + delayed else { return .giveUp }
        if attempts <= immediate { return .immediately }
        let doublings = min(attempts - immediate - 1, 30)
        let longest = min(baseDelay.inSeconds * Double(1 << doublings), maximumDelay.inSeconds)
        let pause = Duration.seconds(longest * jitter)
        return .later(max(pause, (error as? any ClassifiedFailure)?.retryAfter ?? .zero))
    }
}
