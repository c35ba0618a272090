import DovetailContracts
import DovetailCore
import DovetailEvents
import Foundation
import HTTPTypes
import Logging

/// The door for events in any language: CloudEvents in and out over HTTP.
///
/// Every request shows a client's token, and sees and does what that client may.
struct EventDoor: RawHandler {
    let log: any EventLog
    let scheduler: EventScheduler
    let settings: PlatformConfiguration.Events
    let declared: DeclaredEvents
    let queues: [String: PullQueue]

    func respond(to request: RawRequest) async -> RawResponse {
        guard let client = client(showing: request.headers[.authorization]) else {
            var refused = RawResponse.problem(
                Problem("unauthenticated", status: 401)("the door for events asks for a client's bearer token"))
            refused.headers[.wwwAuthenticate] = "Bearer"
            return refused
        }
        do {
            return try await answer(request, for: client)
        } catch let problem as Problem {
            return .problem(problem)
        } catch let error as CloudEventError {
            return .problem(EventDoor.invalid(error))
        } catch let error as LogError {
            return .problem(EventDoor.problem(error))
        } catch {
            Logger(label: "dovetail.events").error(
                "a request at the door for events failed",
                metadata: ["client": "\(client.name)", "path": "\(request.path)", "error": "\(error)"])
            return .problem(Problem("internal-error", status: 500)("the operator finds more in the log"))
        }
    }

    private func answer(_ request: RawRequest, for client: PlatformConfiguration.EventClient) async throws
        -> RawResponse
    {
        let path = request.path.split(separator: "/", omittingEmptySubsequences: false).dropFirst().map(String.init)
        let query = try EventQuery(request.query)
        switch (path.first, path.count) {
        case ("events", 1):
            switch request.method {
            case .post: return try await publish(request, query, for: client)
            case .get: return try await read(request, query, for: client)
            default: return .methodNotAllowed("GET, POST")
            }
        case ("events", 2):
            guard request.method == .delete else { return .methodNotAllowed("DELETE") }
            return try await cancel(path[1], for: client)
        case ("subscriptions", 3):
            guard request.method == .post else { return .methodNotAllowed("POST") }
            let queue = try queue(named: path[1], for: client)
            switch path[2] {
            case "fetch": return try await fetch(from: queue, query)
            case "ack": return try settle(request, in: queue, refusing: false)
            case "nack": return try settle(request, in: queue, refusing: true)
            default: break
            }
        default: break
        }
        return .problem(Problem("not-found", status: 404)("nothing is at \(request.path.prefix(200))"))
    }

    // MARK: Who

    /// The client whose token it is, found without telling by the time how much of a token was right.
    private func client(showing authorization: String?) -> PlatformConfiguration.EventClient? {
        guard let authorization, authorization.lowercased().hasPrefix("bearer ") else { return nil }
        let shown = Array(authorization.utf8.dropFirst(7))
        var found: PlatformConfiguration.EventClient?
        for client in settings.clients {
            let token = Array(client.token.revealed.utf8)
            var difference = UInt8(truncatingIfNeeded: token.count ^ shown.count) | (token.count == shown.count ? 0 : 1)
            for index in token.indices { difference |= token[index] ^ (index < shown.count ? shown[index] : 0) }
            if difference == 0 { found = client }
        }
        return found
    }

    private func queue(named name: String, for client: PlatformConfiguration.EventClient) throws -> PullQueue {
        let isTheirs = settings.subscriptions.contains { subscription in
            guard subscription.name == name, case .pull(client.name, _) = subscription.way else { return false }
            return true
        }
        guard isTheirs, let queue = queues[name] else {
            throw Problem("not-found", status: 404)(
                "there is no subscription '\(name.prefix(64))' for this client to fetch from")
        }
        return queue
    }

    // MARK: Problems

    static func invalid(_ error: CloudEventError) -> Problem {
        var problem = Problem("invalid-event", status: 400)(
            (error.index.map { "event \($0) of the batch: " } ?? "") + error.description)
        problem.violations = [.init(pointer: error.pointer, expected: error.message)]
        return problem
    }

    static func problem(_ error: LogError) -> Problem {
        var problem: Problem
        switch error.code {
        case .storeFull, .overloaded, .stopped:
            problem = Problem("unavailable", status: 503)(error.message)
            problem.retryAfter = .seconds(1)
        case .outcomeUnknown: problem = Problem("outcome-unknown", status: 500)(error.message)
        case .foreignPosition: problem = Problem("foreign-position", status: 410)(error.message)
        default: problem = Problem("internal-error", status: 500)("the operator finds more in the log")
        }
        return problem
    }
}

extension RawResponse {
    fileprivate static func methodNotAllowed(_ allowed: String) -> RawResponse {
        var response = RawResponse.problem(Problem("method-not-allowed", status: 405)("it takes \(allowed)"))
        response.headers[.allow] = allowed
        return response
    }

    /// An answer in JSON.
    static func json(_ value: some Encodable) throws -> RawResponse {
        RawResponse(
            status: .ok, headers: [.contentType: "application/json"], body: .bytes(try JSON.encode(value)))
    }
}

/// What a request asks for behind the question mark.
struct EventQuery {
    private let fields: [(name: String, value: String)]

    /// Throws a problem for what is no percent-encoded UTF-8, or asks for what is not there.
    init(_ query: String?) throws {
        fields = try (query ?? "").split(separator: "&").map { part in
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let text = pair.map { $0.replacing("+", with: " ").removingPercentEncoding }
            guard let name = text[0], let value = text.count > 1 ? text[1] : "" else {
                throw Problem.invalidInput([
                    .init(pointer: "query:\(part.prefix(40))", expected: "expected percent-encoded UTF-8")
                ])
            }
            return (name, value)
        }
    }

    func allow(_ names: String...) throws {
        if let other = fields.first(where: { !names.contains($0.name) }) {
            throw Problem.invalidInput([
                .init(
                    pointer: "query:\(other.name.prefix(40))",
                    expected: "expected one of \(names.joined(separator: ", "))")
            ])
        }
    }

    subscript(name: String) -> String? { fields.last { $0.name == name }?.value }

    /// The values of a field that may be there several times, or hold several with commas between.
    func list(_ name: String) -> [String] {
        fields.filter { $0.name == name }.flatMap { $0.value.split(separator: ",").map(String.init) }
    }

    /// A whole number in a range, or the default.
    func number(_ name: String, _ range: ClosedRange<Int>, default number: Int) throws -> Int {
        guard let text = self[name] else { return number }
        guard let number = Int(text), range.contains(number) else {
            throw invalid(name, "a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    func invalid(_ name: String, _ expected: String) -> Problem {
        .invalidInput([
            .init(pointer: "query:\(name)", expected: "expected \(expected), found '\((self[name] ?? "").prefix(80))'")
        ])
    }
}

extension HTTPField.Name {
    static let lastEventID = HTTPField.Name("Last-Event-ID") ?? .range
}
