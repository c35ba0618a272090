import Crypto
import DovetailCore
import NIOCore

/// A service that says who calls, as one loop asks it: requests are parked while it is asked, and the same question at the same time is asked once.
final class ForwardAuthenticator {
    private struct Admission {
        var principal: VerifiedPrincipal?
        var granted: GrantedFields
    }

    private enum Verdict {
        case admitted(Admission)
        /// The client's answer.
        case refused(SubrequestAnswer)
        case unavailable
    }

    private typealias Key = [UInt8]

    private static let generation = 2048
    private static let maximumWaiting = 4096
    private static let maximumAnswerBytes = 65_536
    /// What a client is told of an answer that does not let it in.
    private static let passedOn: Set<String> = [
        "www-authenticate", "location", "set-cookie", "content-type", "cache-control", "retry-after",
    ]

    private let name: String
    private let settings: ForwardAuthentication
    private let route: CompiledRoute
    private unowned let worker: Worker
    private let requestHeaders: [[UInt8]]
    private let responseHeaders: [[UInt8]]
    /// Answers that let in, by digest of what was asked, in two generations: the older is dropped when the younger is full.
    private var young: [Key: (admission: Admission, until: MonotonicTime)] = [:]
    private var old: [Key: (admission: Admission, until: MonotonicTime)] = [:]
    private var pending: [Key: [Exchange]] = [:]
    private var inFlight = 0
    private var waiting = 0

    init(_ name: String, _ settings: ForwardAuthentication, route: CompiledRoute, worker: Worker) {
        self.name = name
        self.settings = settings
        self.route = route
        self.worker = worker
        requestHeaders = settings.requestHeaders.map { $0.utf8.map(lowercased) }
        responseHeaders = settings.responseHeaders.map { $0.utf8.map(lowercased) }
    }

    /// Has the service say who asks; goes on at once where that is known.
    func ask(about exchange: Exchange) {
        var key: Key?
        if settings.cacheFor > .zero {
            let asked = self.key(of: exchange)
            if let admission = find(asked) { return admit(exchange, admission) }
            if pending[asked] != nil {
                guard waiting < ForwardAuthenticator.maximumWaiting else { return refuseOverload(exchange) }
                waiting += 1
                pending[asked]?.append(exchange)
                return
            }
            pending[asked] = []
            key = asked
        }
        guard inFlight < settings.maximumInFlight else {
            if let key { pending[key] = nil }
            return refuseOverload(exchange)
        }
        inFlight += 1
        let origin = RequestOrigin(.authentication, of: exchange)
        origin.route = route
        let question = question(about: exchange, origin)
        // It is held by its own connection until it has ended.
        _ = Subrequest(
            question, method: .get, origin: origin, budget: AnswerBudget(ForwardAuthenticator.maximumAnswerBytes),
            worker: worker
        ) { [self] outcome in
            inFlight -= 1
            let verdict = verdict(outcome)
            if let key, case .admitted(let admission) = verdict { keep(admission, key) }
            let others = key.flatMap { pending.removeValue(forKey: $0) } ?? []
            waiting -= others.count
            for exchange in [exchange] + others where !exchange.isOver { tell(exchange, verdict) }
        }
    }

    private func tell(_ exchange: Exchange, _ verdict: Verdict) {
        let client = exchange.client
        switch verdict {
        case .admitted(let admission): admit(exchange, admission)
        case .refused(let answer):
            let fields = answer.fields.filter { ForwardAuthenticator.passedOn.contains($0.name) }
            worker.counters.rejected[answer.status == 403 ? .forbidden : .unauthenticated, default: 0] += 1
            exchange.answer(
                status: answer.status, reason: Exchange.reason(of: answer.status), fields: fields.map { ($0.0, $0.1) },
                body: answer.body)
        case .unavailable:
            var problem = Problem(
                "authentication-unavailable", status: 503, detail: "whoever says who may do this cannot say so now")
            problem.retryAfter = .seconds(1)
            exchange.reject(.upstream, problem)
        }
        // After a wait there is no read event that would flush.
        client.flush()
    }

    private func admit(_ exchange: Exchange, _ admission: Admission) {
        exchange.principal = admission.principal
        exchange.granted = admission.granted
        exchange.authenticated()
    }

    private func refuseOverload(_ exchange: Exchange) {
        var problem = Problem("overloaded", status: 503, detail: "too many requests wait to be let in")
        problem.retryAfter = .seconds(1)
        exchange.reject(.overloaded, problem)
    }

    // MARK: Asking

    /// The request that asks: the fields that it is told of, and what is asked for.
    private func question(about exchange: Exchange, _ origin: RequestOrigin) -> ByteBuffer {
        var output = ByteBuffer()
        var forwarding = ByteBuffer()
        let server = settings.server
        output.writeString(
            "GET \(settings.target) HTTP/1.1\r\nhost: \(server.place)\r\n"
        )
        exchange.headBytes.withUnsafeReadableBytes { bytes in
            output.writeLiteral("x-correlation-id: ")
            exchange.writeCorrelationID(into: &output, bytes)
            output.writeLiteral("\r\ntraceparent: ")
            output.writeTraceparent(exchange.trace)
            output.writeLiteral("\r\n")
            forEachCredential(of: exchange, bytes) { name, value in
                output.writeBytes(name)
                output.writeLiteral(": ")
                output.writeBytes(value)
                output.writeLiteral("\r\n")
            }
            forwarding.writeLiteral("x-forwarded-method: ")
            forwarding.writeRaw(bytes[exchange.head.methodName])
            forwarding.writeLiteral("\r\nx-forwarded-uri: ")
            forwarding.writeRaw(bytes[exchange.head.path])
            if let query = exchange.head.query {
                forwarding.writeInteger(UInt8(0x3F))
                forwarding.writeRaw(bytes[query])
            }
            forwarding.writeLiteral("\r\nx-forwarded-host: ")
            forwarding.writeRaw(bytes[exchange.head.host])
            forwarding.writeLiteral("\r\n")
        }
        output.writeLiteral("\r\n")
        origin.forwarding = Array(forwarding.readableBytesView)
        return output
    }

    private func forEachCredential(
        of exchange: Exchange, _ bytes: UnsafeRawBufferPointer,
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Void
    ) {
        for field in exchange.fields where requestHeaders.contains(where: { bytes[field.name].equalsIgnoringCase($0) })
        {
            body(bytes[field.name], bytes[field.value])
        }
    }

    /// A digest of what the service is asked: no credential is kept.
    private func key(of exchange: Exchange) -> Key {
        var hash = Crypto.SHA256()
        exchange.headBytes.withUnsafeReadableBytes { bytes in
            func add(_ part: UnsafeRawBufferPointer) {
                withUnsafeBytes(of: part.count) { hash.update(bufferPointer: $0) }
                hash.update(bufferPointer: part)
            }
            forEachCredential(of: exchange, bytes) { name, value in
                add(name)
                add(value)
            }
            guard settings.keeping == .request else { return }
            add(bytes[exchange.head.methodName])
            add(bytes[exchange.head.host])
            add(bytes[exchange.head.path])
            add(bytes[exchange.head.query ?? .empty])
        }
        return Array(hash.finalize())
    }

    // MARK: Answers

    private func verdict(_ outcome: SubrequestOutcome) -> Verdict {
        guard case .answer(let answer) = outcome else { return .unavailable }
        switch answer.status {
        case 200..<300: return admission(answer).map(Verdict.admitted) ?? .unavailable
        case 301, 302, 303, 307, 308, 401, 403: return .refused(answer)
        default: return .unavailable
        }
    }

    /// Nil for an answer that should name somebody and does not.
    private func admission(_ answer: SubrequestAnswer) -> Admission? {
        var principal: VerifiedPrincipal?
        if let header = settings.principalHeader?.lowercased() {
            guard let subject = answer.value(header), !subject.isEmpty else { return nil }
            let scopes = settings.scopesHeader.flatMap { answer.value($0.lowercased()) } ?? ""
            principal = VerifiedPrincipal(
                Principal(
                    subject: subject, scopes: Set(scopes.split { $0 == " " || $0 == "," }.map(String.init)),
                    issuer: name))
        }
        let fields = answer.fields.filter { field in responseHeaders.contains { $0.elementsEqual(field.name.utf8) } }
        return Admission(principal: principal, granted: GrantedFields(names: responseHeaders, fields: fields))
    }

    private func find(_ key: Key) -> Admission? {
        let now = MonotonicTime.now
        if let kept = young[key] { return kept.until > now ? kept.admission : nil }
        guard let kept = old[key], kept.until > now else { return nil }
        return kept.admission
    }

    private func keep(_ admission: Admission, _ key: Key) {
        if young.count >= ForwardAuthenticator.generation {
            old = young
            young = [:]
        }
        young[key] = (admission, .now + settings.cacheFor)
    }
}
