import DovetailCore
import HTTPTypes
import Instrumentation
import NIOCore
import ServiceContextModule

/// A request that a handler in this process answers: collects the body, calls the handler in a task of its own, and writes
/// what it answers.
///
/// The task is cancelled when the exchange leaves (its deadline has passed, or its client is gone); an answer that comes
/// after that is counted and dropped.
final class HandlerCall {
    private let handler: any RawHandler
    private unowned let exchange: Exchange
    private let worker: Worker
    private var body: [UInt8] = []
    private var task: Task<Void, Never>?
    private var isOver = false
    /// The writer of a streamed answer, while the client is too slow for it.
    private var blockedWriter: CheckedContinuation<Void, any Error>?

    init(_ handler: any RawHandler, exchange: Exchange) {
        self.handler = handler
        self.exchange = exchange
        worker = exchange.worker
    }

    func append(_ slice: ByteBuffer) {
        body.append(contentsOf: slice.readableBytesView)
    }

    /// Calls the handler: the body is whole.
    func run() {
        let request = exchange.rawRequest(body: body)
        body = []
        worker.counters.handlerCallsInFlight += 1
        let answer = HandlerAnswer(loop: worker.loop, call: NIOLoopBound(self, eventLoop: worker.loop))
        let handler = handler
        task = Task {
            await answer.carry(handler.respond(to: request))
        }
    }

    /// The exchange leaves.
    func cancel() {
        isOver = true
        task?.cancel()
        resumeWriter(throwing: CancellationError())
    }

    func clientWritabilityChanged() {
        if exchange.client.isWritable { resumeWriter(throwing: nil) }
    }

    private func resumeWriter(throwing error: (any Error)?) {
        guard let writer = blockedWriter else { return }
        blockedWriter = nil
        if let error { writer.resume(throwing: error) } else { writer.resume() }
    }

    // MARK: From the task, on the loop

    func ended() {
        worker.handlerEnded()
    }

    /// A whole answer, or the head of a streamed one. False if nobody waits for it.
    func answer(_ response: RawResponse) -> Bool {
        guard !isOver else {
            worker.counters.lateAnswers += 1
            return false
        }
        // Writing may end the connection, and nobody else may hold the exchange then.
        let exchange = exchange
        let fields = HandlerCall.fields(of: response.headers, ownsCORS: exchange.route?.cors != nil)
        let reason = Exchange.reason(of: response.status.code)
        switch response.body {
        case .bytes(let bytes):
            isOver = true
            exchange.responder = .none
            if exchange.cacheAnswer(status: response.status.code, reason: reason, fields: fields, body: bytes) {
                break
            }
            exchange.answer(
                status: response.status.code, reason: reason, fields: exchange.edited(fields), body: bytes)
        case .stream:
            exchange.leaveCache()
            exchange.beginAnswer(status: response.status.code, reason: reason, fields: exchange.edited(fields))
        }
        return true
    }

    /// A piece of a streamed answer; `writer` goes on when there is room for another.
    func write(_ bytes: [UInt8], _ writer: CheckedContinuation<Void, any Error>) {
        guard !isOver else { return writer.resume(throwing: CancellationError()) }
        let exchange = exchange
        exchange.client.touch()
        if !bytes.isEmpty, exchange.head.method != .head {
            exchange.responseBody(ByteBuffer(bytes: bytes))
            exchange.commitResponse()
            exchange.client.flush()
        }
        // Flushing may have ended the connection, and with it the call.
        guard !isOver else { return writer.resume(throwing: CancellationError()) }
        if exchange.client.isWritable { writer.resume() } else { blockedWriter = writer }
    }

    /// A streamed answer is over; with an error, it broke off.
    func end(brokeOff: Bool) {
        guard !isOver else { return }
        isOver = true
        let exchange = exchange
        exchange.responder = .none
        guard !brokeOff else { return exchange.fail() }
        exchange.responseEnd()
        exchange.finish()
    }

    /// Fields of an answer without those that are the connection's.
    private static func fields(of headers: HTTPFields, ownsCORS: Bool) -> [(String, String)] {
        headers.compactMap { field in
            var name = field.name.canonicalName
            let known = name.withUTF8 { KnownField.of(UnsafeRawBufferPointer($0)) }
            switch known {
            case .contentLength, .transferEncoding, .connection, .hopByHop, .correlationID, .date: return nil
            case .accessControl where ownsCORS: return nil
            default: return (field.name.rawName, field.value)
            }
        }
    }
}

/// Carries a handler's answer from its task to the loop.
private struct HandlerAnswer: Sendable {
    let loop: any EventLoop
    let call: NIOLoopBound<HandlerCall>

    func carry(_ response: RawResponse) async {
        let isAwaited = await withCheckedContinuation { continuation in
            loop.execute { continuation.resume(returning: call.value.answer(response)) }
        }
        if isAwaited, case .stream(let stream) = response.body {
            var brokeOff = false
            do {
                for try await chunk in stream {
                    try await withCheckedThrowingContinuation { writer in
                        loop.execute { call.value.write(chunk, writer) }
                    }
                }
            } catch {
                brokeOff = true
            }
            loop.execute { [brokeOff] in call.value.end(brokeOff: brokeOff) }
        }
        loop.execute { call.value.ended() }
    }
}

extension Exchange {
    /// The request as a handler sees it, with its context.
    func rawRequest(body: [UInt8]) -> RawRequest {
        headBytes.withUnsafeReadableBytes { bytes in
            var path = ByteBuffer()
            writePath(into: &path, bytes)
            var headers = HTTPFields()
            var idempotencyKey: String?
            var causationID: String?
            var after: String?
            let edits = route?.requestHeaders
            for field in fields {
                if let edits, edits.drops(bytes[field.name]) { continue }
                let value = bytes[field.value].text
                switch field.known {
                case .idempotencyKey: idempotencyKey = value
                case .causationID: causationID = value
                case .dovetailAfter: after = value
                case .connection, .hopByHop, .transferEncoding, .expect, .dovetail, .forwarded: continue
                default: break
                }
                if head.nominatesFields, bytes.connectionNominates(field.name, in: fields) { continue }
                if granted?.replaces(bytes[field.name]) ?? false { continue }
                if let name = HTTPField.Name(bytes[field.name].text) {
                    headers.append(HTTPField(name: name, value: value))
                }
            }
            for field in edits?.added ?? [] {
                guard let name = HTTPField.Name(field.name) else { continue }
                headers.append(HTTPField(name: name, value: field.value))
                switch Array(field.name.utf8).withUnsafeBytes({ KnownField.of($0) }) {
                case .idempotencyKey: idempotencyKey = field.value
                case .causationID: causationID = field.value
                default: break
                }
            }
            for field in granted?.fields ?? [] {
                if let name = HTTPField.Name(field.name) {
                    headers.append(HTTPField(name: name, value: field.value))
                }
            }
            headers[.correlationID] = correlationText
            if let name = HTTPField.Name("traceparent") { headers[name] = trace.text }
            let context = CallContext(
                deadline: deadline, principal: principal?.principal, idempotencyKey: idempotencyKey,
                correlationID: correlationText, causationID: causationID, trace: serviceContext(headers), after: after)
            return RawRequest(
                method: head.method == .head ? .get : head.method.request ?? .init(rawValue: methodText) ?? .post,
                path: String(buffer: path),
                query: head.query.map { bytes[$0].text }, headers: headers, body: body, context: context)
        }
    }

    /// The trace as the process's instrument understands it; empty where none is installed.
    private func serviceContext(_ headers: HTTPFields) -> ServiceContext {
        var context = ServiceContext.topLevel
        InstrumentationSystem.instrument.extract(headers, into: &context, using: FieldExtractor())
        return context
    }
}

/// Reads trace fields for an instrument.
private struct FieldExtractor: Extractor {
    func extract(key: String, from carrier: HTTPFields) -> String? {
        HTTPField.Name(key).flatMap { carrier[$0] }
    }
}
