import DovetailCore

/// An adaptive limit as a plain value that takes the time as an argument.
///
/// While answers take no longer than usual, and the limit is used, it grows by steps; when they take longer, it sinks in proportion, at most by half.
/// Calls that were given up, or that the callee refused for load, let it sink whatever the others took.
public struct AdaptiveLimitState: Sendable {
    /// How many windows the long average remembers.
    private static let memory = 600.0
    /// What the limit grows by, and what may queue at the callee.
    private static let step = 4.0
    private static let smoothing = 0.2

    /// How it is found.
    public let policy: AdaptiveLimitPolicy
    private var estimate: Double
    /// What answers take in the long run, in nanoseconds; 0 before the first window.
    private var usual = 0.0
    private var windows = 0.0
    // The present window.
    private var windowEnd: MonotonicTime?
    private var sum = 0.0
    private var answers = 0
    private var losses = 0
    private var mostInFlight = 0

    /// A limit at its beginning.
    public init(policy: AdaptiveLimitPolicy) {
        self.policy = policy
        estimate = Double(min(max(policy.initial, policy.minimum, 1), max(policy.maximum, policy.minimum, 1)))
    }

    /// How many calls may be under way.
    public var limit: Int { Int(estimate) }

    /// A call has ended. True if the limit has changed by it.
    ///
    /// - Parameters:
    ///   - time: How long its answer took; nil if there was none in time, or one that speaks of overload.
    ///   - inFlight: How many calls were under way, with this one.
    ///   - now: The time.
    public mutating func ended(after time: Duration?, inFlight: Int, at now: MonotonicTime) -> Bool {
        mostInFlight = max(mostInFlight, inFlight)
        if let time {
            answers += 1
            sum += Double(max(time.wholeNanoseconds, 1))
        } else {
            losses += 1
        }
        let end = windowEnd ?? now + policy.window
        windowEnd = end
        guard now >= end, answers + losses >= policy.minimumSamples else { return false }
        let before = limit
        thinkOver()
        windowEnd = now + policy.window
        (sum, answers, losses, mostInFlight) = (0, 0, 0, 0)
        return limit != before
    }

    private mutating func thinkOver() {
        // A few losses happen; a tenth of the calls is too many.
        if losses * 10 >= answers + losses { return settle(on: estimate * 0.9) }
        let recent = sum / Double(answers)
        learn(recent)
        // Who does not use what it may has not shown that it could take more.
        guard Double(mostInFlight) * 2 >= estimate else { return }
        let gradient = min(1, max(0.5, policy.tolerance * usual / recent))
        let next = estimate * gradient + AdaptiveLimitState.step
        settle(on: estimate + (next - estimate) * AdaptiveLimitState.smoothing)
    }

    private mutating func learn(_ recent: Double) {
        windows = min(windows + 1, AdaptiveLimitState.memory)
        usual += (recent - usual) / windows
        // A callee that has become much faster, after a long time of load, is not held to what it took before.
        if usual > recent * 2 { usual *= 0.95 }
    }

    private mutating func settle(on value: Double) {
        let least = Double(max(policy.minimum, 1))
        estimate = min(max(value, least), max(Double(policy.maximum), least))
    }
}
