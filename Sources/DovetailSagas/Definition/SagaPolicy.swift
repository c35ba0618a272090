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
    /// How long an undo, or any step after the pivot, is tried again whatever it fails of, before the instance is stuck: the longest pauses between its attempts, added up.
    ///
    /// Only pauses count, so a node that is down, or a clock that jumps, does not use it up.
    public var patience: Duration

    /// A policy; the defaults give an unreachable callee about a minute before the saga turns back, and an undo that does not succeed a day before it is stuck.
    public init(
        attempts: Int = 8, backoff: Duration = .milliseconds(500), maximumBackoff: Duration = .seconds(30),
        timeout: Duration = .seconds(30), attemptsBeforeStuck: Int = 5, patience: Duration = .seconds(86_400)
    ) {
        self.attempts = attempts
        self.backoff = backoff
        self.maximumBackoff = maximumBackoff
        self.timeout = timeout
        self.attemptsBeforeStuck = attemptsBeforeStuck
        self.patience = patience
    }

    /// What a pause counts at least, so that a policy without pauses comes to an end too.
    private static var leastPause: Duration { .milliseconds(10) }

    /// Whether so many attempts are all that patience allows, whatever they failed of.
    func isExhausted(after attempts: Int) -> Bool {
        guard attempts >= attemptsBeforeStuck else { return false }
        var left = patience
        for attempt in 1...max(1, attempts) {
            let pause = pause(after: attempt, share: 1)
            // The pauses double until they are the longest; from there on they are all the same.
            if pause >= maximumBackoff {
                return max(pause, Self.leastPause) * (attempts - attempt + 1) > left
            }
            left -= max(pause, Self.leastPause)
            if left < .zero { return true }
        }
        return false
    }

    /// The pause after the attempt with this number, from 1: half of it fixed, half by `share` (0 to 1), so that instances do not march in step.
    func pause(after attempt: Int, share: Double) -> Duration {
        let exponent = min(max(attempt - 1, 0), 20)
        let full = min(backoff * (1 << exponent), maximumBackoff)
        return full / 2 + full / 2 * share
    }
}
