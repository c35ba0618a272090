import DovetailCore
import NIOCore

extension Exchange {
    /// Small pieces are copied behind what is composed already, larger ones are written as they are.
    private static let copyLimit = 8192

    // MARK: From an upstream

    /// The upstream's answer begins. False if it is not passed on, because the request is tried again.
    func responseHead(_ response: ResponseHead, fields: [HeaderField], bytes: UnsafeRawBufferPointer) {
        if let hedgedRequest { return hedgedRequest.takeOver(self, response, fields: fields, bytes: bytes) }
        if hedge != nil { dropHedge() }
        status = response.status
        report(status: response.status)
        if case .upstream(let connection) = responder {
            connection.pool.observe(connection.server, status: response.status, since: attemptStarted)
            observeLatency(connection.pool, status: response.status)
        }
        guard !isCopy else { return }
        if route?.cache != nil || (worker.snapshot.hasCache && !head.method.isSafe),
            cacheAnswer(response, fields: fields, bytes: bytes)
        {
            return
        }
        responseFraming = clientFraming(response.framing)
        if responseFraming == .untilClose { client.stopKeepingAlive() }
        if !client.requestIsComplete { client.stopKeepingAlive() }
        worker.compose()
        writeResponseHead(response, fields: fields, bytes: bytes, framing: responseFraming, into: &worker.scratch)
        replay = nil
    }

    /// An interim answer, which HTTP/1.0 clients do not know.
    func interimHead(_ response: ResponseHead, fields: [HeaderField], bytes: UnsafeRawBufferPointer) {
        guard head.minorVersion >= 1, response.status != 100, !isCopy else { return }
        worker.compose()
        writeInterimHead(response, fields: fields, bytes: bytes, into: &worker.scratch)
        // It goes out when what came with it has been read: who flushes may be told to read on, in the middle of a head.
        commitResponse()
    }

    private func clientFraming(_ framing: BodyFraming) -> BodyFraming {
        switch framing {
        case .none, .length: framing
        case .chunked, .untilClose: head.minorVersion >= 1 ? .chunked : .untilClose
        }
    }

    /// A piece of the answer's body.
    func responseBody(_ slice: ByteBuffer) {
        guard !isCopy else { return }
        keep(slice)
        worker.compose()
        if responseFraming == .chunked {
            worker.scratch.writeShortHex(slice.readableBytes)
            worker.scratch.writeLiteral("\r\n")
        }
        if slice.readableBytes <= Exchange.copyLimit {
            worker.scratch.writeImmutableBuffer(slice)
        } else {
            commitResponse()
            client.write(slice)
        }
        guard responseFraming == .chunked else { return }
        worker.compose()
        worker.scratch.writeLiteral("\r\n")
    }

    /// The answer is whole, with these lines of trailers behind it.
    func responseEnd(trailers: [UInt8] = []) {
        guard !isCopy else { return }
        keepWhole()
        if responseFraming == .chunked {
            worker.compose()
            worker.scratch.writeLiteral("0\r\n")
            if head.acceptsTrailers, !trailers.isEmpty {
                worker.scratch.writeBytes(TrailerSection.forwarded(trailers))
            }
            worker.scratch.writeLiteral("\r\n")
        }
        commitResponse()
    }

    /// Writes what is composed.
    func commitResponse() {
        guard worker.isComposing else { return }
        client.write(worker.takeComposed())
    }

    /// Throws away what is composed: nobody is there for it, and it must not stand before what is composed next.
    func dropComposed() {
        if worker.isComposing { _ = worker.takeComposed() }
    }

    // MARK: The gateway's own answers

    /// Answers with a problem and counts why.
    func reject(_ reason: GatewayMetrics.Rejection, _ problem: Problem, fields: [(String, String)] = []) {
        guard !isCopy else { return clientGone() }
        if [.upstream, .circuitOpen, .timeout, .overloaded].contains(reason), serveStaleInstead() { return }
        worker.counters.rejected[reason, default: 0] += 1
        if isGRPC { return answerGRPC(problem) }
        var problem = problem
        problem.instance = correlationText
        var fields = fields
        fields.append(("content-type", "application/problem+json"))
        if let retryAfter = problem.retryAfter {
            fields.append(("retry-after", String(max(1, Int(retryAfter.inSeconds.rounded(.up))))))
        }
        let body = (try? JSON.encode(problem)) ?? []
        answer(status: problem.status, reason: Exchange.reason(of: problem.status), fields: fields, body: body)
    }

    /// Answers with a whole body.
    func answer(status: Int, reason: String, fields: [(String, String)], body: [UInt8]) {
        guard !isOver, self.status == 0 else { return }
        self.status = status
        if head.expectsContinue, !client.requestIsComplete { client.stopKeepingAlive() }
        let hasBody = status >= 200 && status != 204 && status != 304
        worker.compose()
        writeHead(status: status, reason: reason, fields: fields, framing: hasBody ? .length(body.count) : .none)
        if hasBody, head.method != .head { worker.scratch.writeBytes(body) }
        commitResponse()
        finish()
    }

    /// The fields of an answer as the route changes them.
    func edited(_ fields: [(String, String)]) -> [(String, String)] {
        route?.responseHeaders?.applied(to: fields) ?? fields
    }

    /// Begins an answer whose body comes in pieces.
    func beginAnswer(status: Int, reason: String, fields: [(String, String)]) {
        self.status = status
        responseFraming = head.method == .head ? .none : clientFraming(.chunked)
        if responseFraming == .untilClose { client.stopKeepingAlive() }
        worker.compose()
        writeHead(status: status, reason: reason, fields: fields, framing: responseFraming)
        commitResponse()
        client.flush()
    }

    private func writeHead(status: Int, reason: String, fields: [(String, String)], framing: BodyFraming) {
        worker.scratch.writeLiteral("HTTP/1.1 ")
        worker.scratch.writeDecimal(status)
        worker.scratch.writeInteger(UInt8(0x20))
        worker.scratch.writeString(reason)
        worker.scratch.writeLiteral("\r\ndate: ")
        worker.scratch.writeBytes(worker.date())
        worker.scratch.writeLiteral("\r\n")
        for (name, value) in fields {
            worker.scratch.writeString(name)
            worker.scratch.writeLiteral(": ")
            worker.scratch.writeString(value)
            worker.scratch.writeLiteral("\r\n")
        }
        if case .length(let length) = framing { writeContentLength(length, into: &worker.scratch) }
        if framing == .chunked { worker.scratch.writeLiteral("transfer-encoding: chunked\r\n") }
        writeGatewayFields(into: &worker.scratch)
        worker.scratch.writeLiteral("\r\n")
    }

    /// The request's method by its name.
    var methodText: String {
        guard head.method == .other else { return head.method.name.description }
        return headBytes.withUnsafeReadableBytes { $0[head.methodName].text }
    }

    var correlationText: String {
        switch correlation {
        case .given(let range): headBytes.withUnsafeReadableBytes { $0[range].text }
        case .made(let id): id.description
        }
    }

    static func reason(of status: Int) -> String {
        switch status {
        case 200: "OK"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 417: "Expectation Failed"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        default: ""
        }
    }
}
