import DovetailCore
import DovetailResilience

typealias BreakerPermit = Bool
extension Exchange {
    func admit(to pool: UpstreamPool) -> Bool { true }
    func recordFailure() {}
    func recordAnswer(_ status: Int) {}
    func answerDiscarded(status: Int, server: Int) {
        responder = .none
        failedServer = server
        recordAnswer(status)
    }

    func rejectOverload() {
        var problem = Problem("overloaded", status: 503, detail: "too many requests wait for the service")
        problem.retryAfter = .seconds(1)
        reject(.overloaded, problem)
    }
}
