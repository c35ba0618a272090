import DovetailCore
import DovetailResilience
import NIOCore

/// One of a route's rate limits with its key and its policy field made in advance.
final class CompiledLimit {
    let subject: Route.RateLimitSubject
    let limiter: RateLimiter
    /// What a store counts it under: the route or section, and which limit where there are several.
    let route: String
    /// Who decides in place of `limiter`, where several gateways count together.
    let store: (any RateLimitStore)?
    /// What it is in `RateLimit-Policy`.
    let policy: [UInt8]
    /// The policy's name, quoted; no two of a route have the same.
    let name: [UInt8]
    /// When it is asked: 0 before authentication, 1 after it, 2 at last.
    let phase: Int
    private let fieldName: [UInt8]
    /// Whom a limit of a route as a whole counts.
    static let everybody = RateLimitKey("everybody")

    /// The limits of a route, with what they share with others of its section.
    static func limits(of route: Route, shared: SharedState) -> [CompiledLimit] {
        var counts: [String: Int] = [:]
        return route.rateLimits.map { limit in
            let word = CompiledLimit.word(limit.by)
            let count = (counts[word] ?? 0) + 1
            counts[word] = count
            let name = count == 1 ? word : "\(word)-\(count)"
            return CompiledLimit(
                limit, name: name, limiter: shared.limiter(for: route.limitedAs, name, limit: limit),
                route: route.rateLimits.count == 1 ? route.limitedAs : "\(route.limitedAs) by \(name)",
                store: shared.rateLimits)
        }
    }

    private init(
        _ limit: Route.Limit, name: String, limiter: RateLimiter, route: String, store: (any RateLimitStore)?
    ) {
        self.route = route
        self.store = store
        self.limiter = limiter
        self.name = Array("\"\(name)\"".utf8)
        subject = limit.by
        switch limit.by {
        case .address: (phase, fieldName) = (0, [])
        case .header(let field): (phase, fieldName) = (0, field.utf8.map(lowercased))
        case .principal: (phase, fieldName) = (1, [])
        case .route: (phase, fieldName) = (2, [])
        }
        let window = max(1, Int(limit.limit.period.inSeconds.rounded(.up)))
        policy = Array("\"\(name)\";q=\(limit.limit.count);w=\(window)".utf8)
    }

    private static func word(_ subject: Route.RateLimitSubject) -> String {
        switch subject {
        case .route: "route"
        case .principal: "principal"
        case .address: "address"
        case .header: "header"
        }
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

    /// Writes what is left, and in how many seconds all of it will be.
    func write(into output: inout ByteBuffer) {
        output.writeBytes(limit.name)
        output.writeLiteral(";r=")
        output.writeDecimal(decision.remaining)
        output.writeLiteral(";t=")
        output.writeDecimal(Int((decision.resetAfter.wholeNanoseconds + 999_999_999) / 1_000_000_000))
    }
}

extension Exchange {
    /// Applies the limits that do not depend on who asks; false if the request was answered, or goes on when a store has decided.
    func limitBeforeAuthentication() -> Bool {
        guard let limits = route?.earlyLimits, !limits.isEmpty else { return true }
        return take(limits, from: 0) { $0.identify() }
    }

    /// Applies the limits on the principal and on the route as a whole; false if the request was answered, or goes on when a store has decided.
    func limitAfterAuthentication() -> Bool {
        guard let limits = route?.lateLimits, !limits.isEmpty else { return true }
        return take(limits, from: 0) { $0.proceed() }
    }

    private func take(_ limits: [CompiledLimit], from start: Int, then goOn: @escaping (Exchange) -> Void) -> Bool {
        for index in start..<limits.count {
            let limit = limits[index]
            if let store = limit.store {
                ask(store, for: nameCounted(by: limit), of: limit, otherwise: keyCounted(by: limit)) { exchange in
                    if exchange.take(limits, from: index + 1, then: goOn) { goOn(exchange) }
                }
                return false
            }
            guard admit(limit.limiter.take(keyCounted(by: limit), at: .now), by: limit) else { return false }
        }
        return true
    }

    /// Whom a limit counts the request for, in this process.
    private func keyCounted(by limit: CompiledLimit) -> RateLimitKey {
        switch limit.subject {
        case .route: return CompiledLimit.everybody
        case .address: return RateLimitKey(client.address)
        case .principal: return principal?.limitKey ?? RateLimitKey(client.address)
        case .header:
            return headBytes.withUnsafeReadableBytes { bytes in
                limit.fieldValue(in: fields, of: bytes).map { RateLimitKey(bytes: bytes[$0]) }
            } ?? RateLimitKey(client.address)
        }
    }

    /// The same as a name that is one in all gateways.
    private func nameCounted(by limit: CompiledLimit) -> String {
        switch limit.subject {
        case .route: return "route"
        case .address: return client.address
        case .principal: return callerName
        case .header:
            return headBytes.withUnsafeReadableBytes { bytes in
                limit.fieldValue(in: fields, of: bytes).map { bytes[$0].text }
            } ?? client.address
        }
    }

    /// Who asks, the same in all gateways.
    private var callerName: String {
        principal.map { "\($0.principal.issuer ?? "")\n\($0.principal.subject)" } ?? client.address
    }

    /// Whether a limit's decision lets the request go on; false if it was answered.
    func admit(_ decision: RateLimitDecision, by limit: CompiledLimit) -> Bool {
        let report = LimitReport(limit: limit, decision: decision)
        if limitReport == nil { limitReport = report } else { moreLimitReports = (moreLimitReports ?? []) + [report] }
        guard !decision.allowed else { return true }
        var problem = Problem("rate-limited", status: 429, detail: "more requests than this route's limit allows")
        problem.retryAfter = decision.retryAfter
        reject(.rateLimited, problem)
        return false
    }

    /// Writes `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10): a list of all limits that have decided.
    func writeRateLimitFields(into output: inout ByteBuffer) {
        guard let first = limitReport else { return }
        output.writeLiteral("ratelimit-policy: ")
        output.writeBytes(first.limit.policy)
        for report in moreLimitReports ?? [] {
            output.writeLiteral(", ")
            output.writeBytes(report.limit.policy)
        }
        output.writeLiteral("\r\nratelimit: ")
        first.write(into: &output)
        for report in moreLimitReports ?? [] {
            output.writeLiteral(", ")
            report.write(into: &output)
        }
        output.writeLiteral("\r\n")
    }
}
