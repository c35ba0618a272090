import DovetailCore
import NIOCore

/// What a request does to the cache while it is forwarded.
final class CacheFill {
    let key: ResponseCache.Key
    let policy: CachePolicy
    /// The stale answer that the upstream is asked about; served if the upstream fails and that is allowed.
    let stale: CachedResponse?
    let mayServeStaleOnError: Bool
    /// Whether others wait for it.
    var isLeader: Bool
    /// Whether it has turned out that the upstream brings no answer.
    var hasFailed = false
    /// Whether the answer is kept now.
    var isKept = false
    /// The answer being kept, without its body.
    var response: CachedResponse?
    /// When it began, by the cache's count of invalidations.
    let began: UInt64
    /// What `Cache-Status` says about the way here (RFC 9211).
    var status: String

    init(
        key: ResponseCache.Key, policy: CachePolicy, stale: CachedResponse?, mayServeStaleOnError: Bool, isLeader: Bool,
        began: UInt64, status: String
    ) {
        self.began = began
        self.key = key
        self.policy = policy
        self.stale = stale
        self.mayServeStaleOnError = mayServeStaleOnError
        self.isLeader = isLeader
        self.status = status
    }
}

/// Who fetches what is not kept.
enum CacheFetching {
    /// Somebody else, if it does so already: then it is waited for.
    case together
    /// The request itself, and others wait for it.
    case ahead
    /// The request itself, for itself.
    case alone
}

extension Exchange {
    /// Answers from the cache; false if the request is to be forwarded.
    func answerFromCache(_ policy: CachePolicy, fetching: CacheFetching = .together) -> Bool {
        guard head.method == .get || head.method == .head, case .none = head.framing, !wantsWebSocket else {
            return false
        }
        let cache = worker.shared.cache
        let control = headBytes.withUnsafeReadableBytes { CacheControl(fields, in: $0) }
        guard !control.noStore, !head.nominatesFields, !has("range"), !has("if-match"), !has("if-unmodified-since"),
            !has("dovetail-after")
        else {
            cacheStatus = "fwd=bypass"
            return false
        }
        let key = cacheKey
        let kept = cache.find(key, said)
        let use = kept?.use(control, at: .now)
        if let kept, use == .fresh {
            serve(kept, status: "hit; ttl=\(kept.times.lifetime - kept.times.age(at: .now))")
            return true
        }
        if control.onlyIfCached {
            cacheStatus = "fwd=miss"
            reject(
                .upstream,
                Problem("not-cached", status: 504, detail: "it is not in the cache, and only that was asked for"))
            return true
        }
        var (whileRevalidating, onError) = (false, false)
        if case .stale(let revalidating, let error)? = use { (whileRevalidating, onError) = (revalidating, error) }
        if let kept, whileRevalidating, cache.isBeingFilled(key) {
            serve(kept, status: "hit; ttl=\(kept.times.lifetime - kept.times.age(at: .now)); detail=revalidating")
            return true
        }
        // HEAD brings no body to keep.
        guard head.method == .get else {
            cacheStatus = "fwd=miss"
            return false
        }
        ticket += 1
        if fetching == .together {
            let (waiting, loop) = (NIOLoopBound((self, ticket), eventLoop: worker.loop), worker.loop)
            let isLeader = cache.beginFill(key) { leads in
                loop.execute {
                    let (exchange, ticket) = waiting.value
                    exchange.fillEnded(key, ticket, leads: leads)
                }
            }
            guard isLeader else { return true }
        }
        fill = CacheFill(
            key: key, policy: policy, stale: kept, mayServeStaleOnError: onError, isLeader: fetching != .alone,
            began: cache.invalidations,
            status: kept == nil ? "fwd=uri-miss" : control.noCache ? "fwd=request" : "fwd=stale")
        return false
    }

    /// Somebody else has fetched what this request waits for, or could not; then one of those that wait fetches it.
    private func fillEnded(_ key: ResponseCache.Key, _ ticket: Int, leads: Bool) {
        guard !isOver, self.ticket == ticket, let route, let policy = route.cache else {
            // It has left in the meantime.
            if leads { worker.shared.cache.endFill(key, .left) }
            return
        }
        isCollapsed = true
        // Who finds nothing now, and is not to fetch it for the others, goes by itself: the answer is not one that is kept.
        if !answerFromCache(policy, fetching: leads ? .ahead : .alone) { return forward(by: route) }
        if leads { worker.shared.cache.endFill(key, .over) }
    }

    /// Its fetch is over with it.
    func endFill(brokeOff: Bool) {
        guard let fill else { return }
        self.fill = nil
        guard fill.isLeader else { return }
        let hasFailed = fill.hasFailed || (!brokeOff && Exchange.isFailure(status) && !fill.isKept)
        worker.shared.cache.endFill(fill.key, hasFailed ? .failed : brokeOff ? .left : .over)
    }

    // MARK: Serving

    /// Answers with what is kept; with 304 if the client has it already (RFC 9110 13.2.2).
    func serve(_ kept: CachedResponse, status cacheStatus: String) {
        self.cacheStatus = cacheStatus + (isCollapsed ? "; collapsed" : "")
        let isKnown = clientHas(kept)
        status = isKnown ? 304 : kept.status
        let hasBody = !isKnown && kept.status != 204
        worker.compose()
        worker.scratch.writeLiteral("HTTP/1.1 ")
        worker.scratch.writeDecimal(status)
        worker.scratch.writeInteger(UInt8(0x20))
        if isKnown { worker.scratch.writeLiteral("Not Modified") } else { worker.scratch.writeBytes(kept.reason) }
        worker.scratch.writeLiteral("\r\n")
        worker.scratch.writeBytes(kept.lines)
        worker.scratch.writeLiteral("age: ")
        worker.scratch.writeDecimal(kept.times.age(at: .now))
        worker.scratch.writeLiteral("\r\n")
        if hasBody { writeContentLength(kept.body.readableBytes, into: &worker.scratch) }
        writeGatewayFields(into: &worker.scratch)
        worker.scratch.writeLiteral("\r\n")
        if hasBody, head.method != .head {
            commitResponse()
            client.write(kept.body)
        }
        commitResponse()
        worker.counters.cacheHits += 1
        finish()
    }

    private func clientHas(_ kept: CachedResponse) -> Bool {
        headBytes.withUnsafeReadableBytes { bytes in
            let tags = fields.filter { bytes[$0.name].equalsIgnoringCase("if-none-match") }
            guard tags.isEmpty else {
                guard let tag = kept.tag else { return false }
                // Weakly compared (RFC 9110 8.8.3.2).
                let bare = tag.starts(with: Array("W/".utf8)) ? Array(tag.dropFirst(2)) : tag
                var isKnown = false
                for field in tags {
                    bytes[field.value].forEachListElement { element in
                        let other = element.starts(with: Array("W/".utf8)) ? element.dropFirst(2) : element[...]
                        if other.elementsEqual(bare) || element.elementsEqual([0x2A]) { isKnown = true }
                    }
                }
                return isKnown
            }
            guard let since = fields.first(where: { bytes[$0.name].equalsIgnoringCase("if-modified-since") }),
                let asked = HTTPDate.seconds(bytes[since.value]),
                let modified = kept.lastModified?.withUnsafeBytes({ HTTPDate.seconds($0) })
            else { return false }
            return modified <= asked
        }
    }

    // MARK: Keeping

    /// The head of an upstream's answer: begins to keep it, or is done with it. True if the client has its answer by that.
    func cacheAnswer(
        _ response: ResponseHead, fields answer: [HeaderField], bytes: UnsafeRawBufferPointer
    ) -> Bool {
        if !head.method.isSafe, (200..<400).contains(response.status) {
            worker.shared.cache.invalidate(place: cacheKey.place)
        }
        guard let fill else { return false }
        if Exchange.isFailure(response.status), let stale = fill.stale, fill.mayServeStaleOnError {
            cancelResponder()
            status = 0
            fill.hasFailed = true
            serve(stale, status: "hit; detail=stale-if-error; fwd=stale; fwd-status=\(response.status)")
            return true
        }
        let now = MonotonicTime.now
        let isNotModified = response.status == 304 && fill.stale != nil
        let storability = Storability(
            status: isNotModified ? fill.stale?.status ?? 200 : response.status, fields: answer, bytes: bytes,
            policy: fill.policy, isAuthorised: head.authorization != nil || principal != nil || granted != nil,
            isRenewal: isNotModified, now: now, wallSeconds: WallClock.milliseconds / 1000)
        if isNotModified, let stale = fill.stale {
            let lines = Exchange.keptLines(
                answer, bytes, ownsCORS: route?.cors != nil, edits: route?.responseHeaders, isRenewal: true)
            let renewed = stale.renewed(by: answer, bytes, lines: lines, storability, at: now)
            if Storability.isForbidden(by: answer, bytes) {
                worker.shared.cache.remove(stale, under: fill.key)
            } else {
                worker.shared.cache.store(renewed, under: fill.key, since: fill.began)
            }
            status = 0
            serve(renewed, status: "hit; fwd=stale; fwd-status=304")
            return true
        }
        let way = "\(fill.status); fwd-status=\(response.status)"
        cacheStatus = way
        guard let storability, !varies(storability, byWhoAsks: pool), let declared = bodyBytes(response),
            declared <= fill.policy.maximumBodyBytes
        else {
            releaseWaiters(Exchange.isFailure(response.status) ? .failed : .over)
            return false
        }
        fill.response = CachedResponse(
            lines: Exchange.keptLines(answer, bytes, ownsCORS: route?.cors != nil, edits: route?.responseHeaders),
            status: response.status,
            reason: Array(bytes[response.reason]), body: ByteBuffer(), tag: storability.tag,
            lastModified: storability.lastModified,
            vary: storability.vary.map { .init(name: $0, value: said($0)) }, times: storability.times)
        cacheStatus = way + "; stored"
        return false
    }

    /// Whether an answer depends on fields in which the gateway tells who asks: what a client sends under these names says nothing of it.
    private func varies(_ storability: Storability, byWhoAsks pool: UpstreamPool?) -> Bool {
        guard granted != nil || pool?.principalHeaders != nil else { return false }
        return storability.vary.contains { name in
            name.withUnsafeBytes { name in
                (granted?.replaces(name) ?? false) || (pool?.principalHeaders?.drops(name) ?? false)
            }
        }
    }

    /// A streamed answer of a handler is not kept.
    func leaveCache() {
        releaseWaiters(.over)
        fill = nil
    }

    /// The answer is not one that is kept: whoever waits for it goes by itself, at once; or one after the other, where the upstream fails.
    private func releaseWaiters(_ end: ResponseCache.FillEnd) {
        guard let fill, fill.isLeader else { return }
        fill.isLeader = false
        worker.shared.cache.endFill(fill.key, end)
    }

    /// The whole answer of a handler in this process. True if the client has its answer from what was kept before.
    func cacheAnswer(status: Int, reason: String, fields: [(String, String)], body: [UInt8]) -> Bool {
        guard fill != nil || (snapshot.hasCache && !head.method.isSafe) else { return false }
        var text =
            "HTTP/1.1 \(status) \(reason)\r\ndate: \(WallClock.imfDate(second: WallClock.milliseconds / 1000))\r\n"
        for (name, value) in fields { text += "\(name): \(value)\r\n" }
        let bytes = Array((text + "content-length: \(body.count)\r\n\r\n").utf8)
        var reader = HeadReader()
        var answer = ResponseHead()
        let isServed = bytes.withUnsafeBytes { bytes in
            guard
                (try? answer.read(bytes, with: &reader, limits: .written, method: head.method)) != nil
            else { return false }
            return cacheAnswer(answer, fields: reader.fields, bytes: bytes)
        }
        guard !isServed else { return true }
        keep(ByteBuffer(bytes: body))
        keepWhole()
        return false
    }

    /// How long the body says it is; 0 where only its end will tell.
    private func bodyBytes(_ response: ResponseHead) -> Int? {
        switch response.framing {
        case .none: 0
        case .length(let length): length
        case .chunked: 0
        // It could have broken off.
        case .untilClose: nil
        }
    }

    func keep(_ slice: ByteBuffer) {
        guard let fill, fill.response != nil else { return }
        guard (fill.response?.body.readableBytes ?? 0) + slice.readableBytes <= fill.policy.maximumBodyBytes else {
            fill.response = nil
            return releaseWaiters(.over)
        }
        fill.response?.body.writeImmutableBuffer(slice)
    }

    /// The answer is whole: it is kept, and whoever waits for it gets it.
    func keepWhole() {
        guard let fill, let response = fill.response else { return }
        worker.shared.cache.store(response, under: fill.key, since: fill.began)
        fill.response = nil
        fill.isKept = true
    }

    /// Serves what is stale where the upstream brings no answer; false if that is not allowed.
    func serveStaleInstead() -> Bool {
        guard let fill, let stale = fill.stale, fill.mayServeStaleOnError, status == 0, !isOver else { return false }
        fill.hasFailed = true
        serve(stale, status: "hit; detail=stale-if-error; fwd=stale")
        return true
    }

    /// The fields that are kept, as lines: not those of the hop, nor those that are written for each request; of a renewal those that take the place of
    /// what is kept.
    private static func keptLines(
        _ fields: [HeaderField], _ bytes: UnsafeRawBufferPointer, ownsCORS: Bool, edits: CompiledHeaderEdits?,
        isRenewal: Bool = false
    ) -> [UInt8] {
        var lines: [UInt8] = []
        for field in fields {
            switch field.known {
            case .contentLength, .transferEncoding, .connection, .hopByHop, .correlationID: continue
            case .accessControl where ownsCORS: continue
            default: break
            }
            let name = bytes[field.name]
            if name.equalsIgnoringCase("age") || bytes.connectionNominates(field.name, in: fields)
                || edits?.drops(name) ?? false
            {
                continue
            }
            lines += name
            lines += [0x3A, 0x20]
            lines += bytes[field.value]
            lines += [0x0D, 0x0A]
        }
        return isRenewal ? lines : lines + (edits?.lines ?? [])
    }

    // MARK: Keys

    private func has(_ name: StaticString) -> Bool {
        headBytes.withUnsafeReadableBytes { bytes in fields.contains { bytes[$0.name].equalsIgnoringCase(name) } }
    }

    /// What the request says in a field: the values of all its lines, in order (RFC 9111 4.1).
    private func said(_ name: [UInt8]) -> [UInt8] {
        // What the gateway drops or sets is the same for all.
        if let edits = route?.requestHeaders, name.withUnsafeBytes({ edits.drops($0) }) { return [] }
        return headBytes.withUnsafeReadableBytes { bytes in
            var value: [UInt8] = []
            for field in fields
            where bytes[field.name].equalsIgnoringCase(name) {
                if !value.isEmpty { value += [0x2C, 0x20] }
                value += bytes[field.value]
            }
            return value
        }
    }

    private var cacheKey: ResponseCache.Key {
        headBytes.withUnsafeReadableBytes { bytes in
            var place = bytes[head.host].map(lowercased)
            place.append(0x20)
            place += bytes[head.path]
            var rest = client.isSecure ? Array("https".utf8) : Array("http".utf8)
            if let query = head.query { rest += [0x3F] + bytes[query] }
            if let route, route.hasConditions { rest += [0x20] + Array(route.id.utf8) }
            return ResponseCache.Key(place: place, rest: rest)
        }
    }

    /// Writes `Cache-Status` where the cache had a say (RFC 9211).
    func writeCacheStatus(into output: inout ByteBuffer) {
        guard let cacheStatus else { return }
        output.writeLiteral("cache-status: dovetail; ")
        output.writeString(cacheStatus)
        output.writeLiteral("\r\n")
    }
}
