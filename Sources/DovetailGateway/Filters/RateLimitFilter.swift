import DovetailCore
import DovetailResilience
import NIOCore

/// A route's rate limit with its key and its policy field made in advance.
final class CompiledLimit {
    let subject: Route.RateLimitSubject
    let limiter: RateLimiter
    /// The route's id.
    let route: String
    /// Who decides in place of `limiter`, where several gateways count together.
    let store: (any RateLimitStore)?
    /// The value of `RateLimit-Policy`.
    let policy: [UInt8]
    /// The policy's name, quoted.
    let name: StaticString
    private let fieldName: [UInt8]

    init(_ limit: Route.Limit, limiter: RateLimiter, route: String, store: (any RateLimitStore)?) {
        self.route = route
        self.store = store
        subject = limit.by
        self.limiter = limiter
        switch limit.by {
        case .principal:
            name = "\"principal\""
            fieldName = []
        case .address:
            name = "\"address\""
            fieldName = []
        case .header(let field):
            name = "\"header\""
            fieldName = field.utf8.map(lowercased)
        }
        let window = max(1, Int(limit.limit.period.inSeconds.rounded(.up)))
        policy = Array("\(name);q=\(limit.limit.count);w=\(window)".utf8)
    }

    /// The value of the field that this limit counts by.
    func fieldValue(in fields: [HeaderField], of bytes: UnsafeRawBufferPointer) -> ByteRange? {
        fields.first { field in
            bytes[field.name].equalsIgnoringCase(fieldName)
        }?.value
    }
}

/// What a limit said about a request, for the answer's fields.
struct LimitReport {
    let limit: CompiledLimit
    let decision: RateLimitDecision
}

extension Exchange {
    /// Applies a limit that does not depend on who asks; false if the request was answered, or goes on when a store has decided.
    func limitByAddress() -> Bool {
        guard let limit = route?.limit else { return true }
        switch limit.subject {
        case .principal: return true
        case .address: return take(limit, RateLimitKey(client.address), { client.address }) { $0.identify() }
        case .header:
            let value = headBytes.withUnsafeReadableBytes { limit.fieldValue(in: fields, of: $0) }
            guard let value else {
                return take(limit, RateLimitKey(client.address), { client.address }) { $0.identify() }
            }
            let key = headBytes.withUnsafeReadableBytes { RateLimitKey(bytes: $0[value]) }
            return take(limit, key, { headBytes.withUnsafeReadableBytes { $0[value].text } }) { $0.identify() }
        }
    }

    /// Applies a limit on the principal, or on the address where there is none; false if the request was answered, or goes on when a store has decided.
    func limitByPrincipal() -> Bool {
        guard let limit = route?.limit, limit.subject == .principal else { return true }
        return take(limit, principal?.limitKey ?? RateLimitKey(client.address), { callerName }) { $0.proceed() }
    }

    /// Who asks, the same in all gateways.
    private var callerName: String {
        principal.map { "\($0.principal.issuer ?? "")\n\($0.principal.subject)" } ?? client.address
    }

    private func take(
        _ limit: CompiledLimit, _ key: RateLimitKey, _ name: () -> String, then goOn: @escaping (Exchange) -> Void
    ) -> Bool {
        if let store = limit.store {
            ask(store, for: name(), of: limit, otherwise: key, then: goOn)
            return false
        }
        return admit(limit.limiter.take(key, at: .now), by: limit)
    }

    /// Whether a limit's decision lets the request go on; false if it was answered.
    func admit(_ decision: RateLimitDecision, by limit: CompiledLimit) -> Bool {
        limitReport = LimitReport(limit: limit, decision: decision)
        guard !decision.allowed else { return true }
        var problem = Problem("rate-limited", status: 429, detail: "more requests than this route's limit allows")
        problem.retryAfter = decision.retryAfter
        reject(.rateLimited, problem)
        return false
    }

    /// Writes `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10) where a limit decided.
    func writeRateLimitFields(into output: inout ByteBuffer) {
        guard let report = limitReport else { return }
        output.writeLiteral("ratelimit-policy: ")
        output.writeBytes(report.limit.policy)
        output.writeLiteral("\r\nratelimit: ")
        output.writeLiteral(report.limit.name)
        output.writeLiteral(";r=")
        output.writeDecimal(report.decision.remaining)
        output.writeLiteral(";t=")
        output.writeDecimal(Int((report.decision.resetAfter.wholeNanoseconds + 999_999_999) / 1_000_000_000))
        output.writeLiteral("\r\n")
    }
}
