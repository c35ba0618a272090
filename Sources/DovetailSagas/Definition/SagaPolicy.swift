/// How steps are retried, beyond what a client does within one call.
public struct SagaPolicy: Sendable {
    /// How often a step that was not refused for good is carried out before the saga turns back; before the pivot only.
    public var attempts: Int
    /// The first pause between attempts; it doubles each time.
    public var backoff: Duration
    /// The longest pause.
    public var maximumBackoff: Duration
    /// How long one attempt may take; then it is cancelled, and in doubt.
    public var timeout: Duration
    /// How often an undo that is refused for good, or any step after the pivot that is, is tried before the instance is stuck.
    public var attemptsBeforeStuck: Int

    /// A policy; the defaults give an unreachable callee about a minute before the saga turns back.
    public init(
        attempts: Int = 8, backoff: Duration = .milliseconds(500), maximumBackoff: Duration = .seconds(30),
        timeout: Duration = .seconds(30), attemptsBeforeStuck: Int = 5
    ) {
        self.attempts = attempts
        self.backoff = backoff
        self.maximumBackoff = maximumBackoff
        self.timeout = timeout
        self.attemptsBeforeStuck = attemptsBeforeStuck
    }

    /// The pause after the attempt with this number, from 1: half of it fixed, half by `share` (0 to 1), so that instances do not march in step.
    func pause(after attempt: Int, share: Double) -> Duration {
        let exponent = min(max(attempt - 1, 0), 20)
        let full = min(backoff * (1 << exponent), maximumBackoff)
        return full / 2 + full / 2 * share
    }
}
