import DovetailCore
import DovetailResilience

extension Exchange {
    /// Asks the breaker; false if it is open and the request was answered.
    func admit(to pool: UpstreamPool) -> Bool {
        let now = MonotonicTime.now
        if attempts == 1, !isCopy { pool.guards.budget?.deposit(at: now) }
        guard let breaker = pool.guards.breaker else { return true }
        do throws(CallError) {
            permit = try breaker.permit(at: now)
            return true
        } catch {
            var problem = Problem(
                "circuit-open", status: 503, detail: "the service is failing and is left alone for now")
            problem.retryAfter = error.retryAfter
            reject(.circuitOpen, problem)
            return false
        }
    }

    /// Tells the breaker how the attempt ended; the first word counts.
    func report(_ outcome: CallOutcome) {
        guard let permit = permit.take() else { return }
        permit.report(outcome, at: .now)
    }

    /// An answer's status as the breaker sees it: a server that says it cannot is failing, whatever else it says is its health.
    func report(status: Int) {
        report(Exchange.isFailure(status) ? .failure : .success)
    }

    /// Whether an answer's status says that the server, not the request, is to blame.
    static func isFailure(_ status: Int) -> Bool { status >= 500 && [500, 502, 503, 504].contains(status) }

    func rejectOverload() {
        var problem = Problem("overloaded", status: 503, detail: "too many requests wait for the service")
        problem.retryAfter = .seconds(1)
        reject(.overloaded, problem)
    }
}
