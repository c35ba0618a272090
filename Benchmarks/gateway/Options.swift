import DovetailGateway
import DovetailResilience
import Logging
import Synchronization

/// The command line.
struct Options: Sendable {
    var listen = 9080
    var upstream = 9081
    var routes = 1
    var loops = 1
    /// What tokens are signed with; nil for a gateway that asks for none.
    var secret: String?
    /// PEM files for a gateway that speaks TLS.
    var certificate: String?
    var key: String?

    init(_ arguments: [String]) throws(UsageError) {
        var rest = arguments.dropFirst()
        while let option = rest.popFirst() {
            guard let value = rest.popFirst() else { throw UsageError(reason: "\(option) has no value") }
            switch option {
            case "--listen": listen = try Options.number(value, of: option)
            case "--upstream": upstream = try Options.number(value, of: option)
            case "--routes": routes = try Options.number(value, of: option)
            case "--loops": loops = try Options.number(value, of: option)
            case "--secret": secret = value
            case "--certificate": certificate = value
            case "--key": key = value
            default: throw UsageError(reason: "there is no option \(option)")
            }
        }
    }

    private static func number(_ text: String, of option: String) throws(UsageError) -> Int {
        guard let number = Int(text), number > 0 else {
            throw UsageError(reason: "\(option) is a number above zero, not \(text)")
        }
        return number
    }

    var tls: ListenerTLS? {
        guard let certificate, let key else { return nil }
        return ListenerTLS(certificates: [.init(chain: certificate, key: key)])
    }

    var authentication: Route.Authentication { secret == nil ? .none : .named("bench") }

    var authenticators: [String: Authenticator] {
        guard let secret else { return [:] }
        let tokens = JWTConfiguration(
            issuer: "https://id.bench", audience: "bench", algorithms: [.hs256], keys: [.secret(Array(secret.utf8))])
        return ["bench": .jwt(tokens)]
    }

    /// One that is asked each time and refuses nobody.
    var rateLimits: [Route.Limit] {
        secret == nil ? [] : [Route.Limit(RateLimit(1_000_000, per: .seconds(1), burst: 1_000_000), by: .principal)]
    }

    var logger: Logger {
        var logger = Logger(label: "gateway-bench")
        logger.logLevel = .error
        return logger
    }
}

/// A command line that cannot be understood.
struct UsageError: Error, CustomStringConvertible {
    let reason: String
    var description: String { "gateway-bench: \(reason)" }
}

/// Takes in what is told of each request, as a log that is written elsewhere would.
final class RecordSum: Sendable {
    private let bytes = Mutex(0)

    func add(_ record: RequestRecord) { bytes.withLock { $0 += record.bytesSent } }
}
