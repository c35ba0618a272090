import DovetailCore
import DovetailEvents

/// The paths at which a node says how it is, on each of its doors but the gateway's.
enum Health {
    /// Whether the process answers at all; if not, restart it.
    static let live = "/health/live"
    /// Whether it should get requests; if not, send them elsewhere.
    static let ready = "/health/ready"
}

extension Node {
    /// 200 when it is well; 503 with the reason when its log takes nothing in, or its gateway lets requests end and takes no more.
    func health(_ path: String) -> RawResponse {
        if path == Health.ready, let trouble = store.log.condition.trouble {
            return .problem(Problem("not-ready", status: 503)(trouble))
        }
        if path == Health.ready, gateway?.isDraining ?? false {
            return .problem(Problem("not-ready", status: 503)("the gateway is draining: it takes no more connections"))
        }
        return RawResponse(
            status: .ok, headers: [.contentType: "application/json"], body: .bytes(Array(#"{"status":"up"}"#.utf8)))
    }
}

extension LogCondition {
    /// Why the log takes nothing in, in words; nil if it does.
    var trouble: String? {
        switch self {
        case .open: nil
        case .full: "the disk is full: publishing has stopped, and resumes by itself when there is space"
        case .stopped(let error): "the log has stopped: \(error.message)"
        }
    }
}
