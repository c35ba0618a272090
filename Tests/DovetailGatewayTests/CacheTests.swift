import DovetailCore
import DovetailResilience
import HTTPTypes
import Testing

@testable import DovetailGateway

/// The rules of RFC 9111, without sockets.
@Suite struct CacheRuleTests {
    private let now = MonotonicTime(nanoseconds: 1_000_000_000_000)
    private let wall: Int64 = 1_795_824_000

    private func storability(
        _ head: String, status: Int = 200, policy: CachePolicy = CachePolicy(), isAuthorised: Bool = false
    ) throws -> Storability? {
        let bytes = Array("HTTP/1.1 \(status) OK\r\n\(head)Content-Length: 0\r\n\r\n".utf8)
        return try bytes.withUnsafeBytes { bytes in
            var (reader, response) = (HeadReader(), ResponseHead())
            _ = try #require(
                try response.read(bytes, with: &reader, limits: .init(), method: .get))
            return Storability(
                status: response.status, fields: reader.fields, bytes: bytes, policy: policy,
                isAuthorised: isAuthorised, now: now, wallSeconds: wall)
        }
    }

    @Test func readsCacheControl() {
        #expect(CacheControl("max-age=10, Public").maxAge == 10)
        #expect(CacheControl("max-age=10, Public").isPublic)
        #expect(CacheControl("max-age=\"10\"").maxAge == 10)
        #expect(CacheControl("max-age=ten").maxAge == 0, "what is no number is asked again")
        #expect(CacheControl("max-age=-5").maxAge == 0)
        #expect(CacheControl("max-age=99999999999999999999").maxAge == Int(Int32.max))
        #expect(CacheControl("max-age=20, max-age=10").maxAge == 10)
        #expect(CacheControl("max-stale").maxStale == .max)
        #expect(CacheControl("no-cache=\"set-cookie\"").noCache)
        #expect(CacheControl(",, ,no-store").noStore)
        #expect(CacheControl("x-no-store, nonsense=1") == CacheControl())
    }

    @Test func readsDates() {
        func seconds(_ text: String) -> Int64? { Array(text.utf8).withUnsafeBytes { HTTPDate.seconds($0) } }
        #expect(seconds("Sun, 06 Nov 1994 08:49:37 GMT") == 784_111_777)
        #expect(seconds("Thu, 01 Jan 1970 00:00:00 GMT") == 0)
        #expect(seconds("Thu, 29 Feb 2024 23:59:59 GMT") == 1_709_251_199)
        for second in stride(from: Int64(0), to: 4_000_000_000, by: 9_876_543) {
            #expect(seconds(WallClock.imfDate(second: second)) == second)
        }
        for text in [
            "", "0", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 36 Nov 1994 08:49:37 GMT",
        ] {
            #expect(seconds(text) == nil, "\(text)")
        }
    }

    @Test func keepsWhatMayBeKept() throws {
        let keeps = [
            "Cache-Control: max-age=60\r\n", "Cache-Control: s-maxage=60, max-age=0\r\n",
            "ETag: \"1\"\r\nCache-Control: no-cache\r\n",
            "Expires: \(WallClock.imfDate(second: wall + 60))\r\n", "Cache-Control: max-age=0\r\nLast-Modified: x\r\n",
        ]
        for head in keeps { #expect(try storability(head) != nil, "\(head)") }
        let leaves = [
            "", "Cache-Control: no-store, max-age=60\r\n", "Cache-Control: private, max-age=60\r\n",
            "Cache-Control: max-age=60\r\nSet-Cookie: a=1\r\n", "Cache-Control: max-age=60\r\nVary: *\r\n",
            "Expires: 0\r\n", "Cache-Control: max-age=60\r\nAge: 60\r\n", "ETag: \"1\"\r\n",
        ]
        for head in leaves { #expect(try storability(head) == nil, "\(head)") }
        for status in [206, 302, 400, 401, 500, 503] {
            #expect(try storability("Cache-Control: max-age=60\r\n", status: status) == nil, "\(status)")
        }
        for status in [203, 301, 404, 410] {
            #expect(try storability("Cache-Control: max-age=60\r\n", status: status) != nil, "\(status)")
        }
        #expect(try storability("", policy: CachePolicy(freshFor: .seconds(5)))?.times.lifetime == 5)
        #expect(
            try storability("Cache-Control: max-age=9\r\n", policy: CachePolicy(freshFor: .seconds(5)))?.times.lifetime
                == 9)
    }

    @Test func whatWasAskedForWithCredentialsIsNobodyElses() throws {
        #expect(try storability("Cache-Control: max-age=60\r\n", isAuthorised: true) == nil)
        for word in ["public", "s-maxage=60", "must-revalidate"] {
            #expect(try storability("Cache-Control: max-age=60, \(word)\r\n", isAuthorised: true) != nil, "\(word)")
        }
    }

    @Test func agesFromWhereItWasMade() throws {
        let times = try #require(
            try storability("Cache-Control: max-age=60\r\nAge: 20\r\nDate: \(WallClock.imfDate(second: wall - 30))\r\n")
        ).times
        #expect(times.initialAge == 30)
        #expect(times.age(at: now + .seconds(5)) == 35)
    }

    @Test func aRequestMayAskForMore() throws {
        var kept = CachedResponse(
            lines: [], status: 200, reason: [], body: .init(), vary: [],
            times: .init(
                storedAt: now, initialAge: 0, lifetime: 60, staleWhileRevalidate: 10, staleIfError: 100,
                asksAlways: false))
        func use(_ control: String, after seconds: Int) -> CachedResponse.Use {
            kept.use(CacheControl(control), at: now + .seconds(seconds))
        }
        #expect(use("", after: 59) == .fresh)
        #expect(use("max-age=10", after: 30) == .stale(whileRevalidating: false, onError: true))
        #expect(use("min-fresh=30", after: 40) == .stale(whileRevalidating: true, onError: true))
        #expect(use("no-cache", after: 1) == .stale(whileRevalidating: false, onError: false))
        #expect(use("max-stale=20", after: 75) == .fresh)
        #expect(use("max-stale=10", after: 75) == .stale(whileRevalidating: false, onError: true))
        #expect(use("", after: 65) == .stale(whileRevalidating: true, onError: true))
        #expect(use("", after: 80) == .stale(whileRevalidating: false, onError: true))
        #expect(use("", after: 170) == .stale(whileRevalidating: false, onError: false))
        kept.times.mustRevalidate = true
        #expect(
            use("max-stale=1000", after: 75) != .fresh, "what must be asked about is, whatever a request would bear")
        kept.times.asksAlways = true
        #expect(use("", after: 1) == .stale(whileRevalidating: false, onError: false))
    }

    @Test func keepsToItsSizeAndKeepsWhatIsUsed() {
        let cache = ResponseCache(capacity: 100_000)
        func response(_ bytes: Int) -> CachedResponse {
            CachedResponse(
                lines: [], status: 200, reason: [], body: .init(repeating: 0, count: bytes), vary: [],
                times: .init(
                    storedAt: now, initialAge: 0, lifetime: 60, staleWhileRevalidate: 0, staleIfError: 0,
                    asksAlways: false))
        }
        func key(_ number: Int) -> ResponseCache.Key { .init(place: Array("h /\(number)".utf8), rest: []) }
        func has(_ number: Int) -> Bool { cache.find(key(number), { _ in [] }) != nil }
        for number in 0..<1000 {
            cache.store(response(1000), under: key(number), since: cache.invalidations)
            #expect(has(0), "what is asked for all the time stays")
            #expect(cache.usage.bytes <= 100_000)
        }
        #expect(has(999) && !has(500))
        #expect(cache.usage.count > 50)
        cache.store(response(200_000), under: key(2000), since: cache.invalidations)
        #expect(!has(2000), "what is larger than all of it is not kept")
        cache.store(
            response(10), under: .init(place: key(999).place, rest: Array("?a".utf8)), since: cache.invalidations)
        cache.invalidate(place: key(999).place)
        #expect(!has(999))
        #expect(cache.find(.init(place: key(999).place, rest: Array("?a".utf8)), { _ in [] }) == nil)
        cache.clear()
        #expect(cache.usage.bytes == 0 && cache.usage.count == 0)
    }
}

/// The cache as clients see it.
@Suite(.timeLimit(.minutes(1))) struct CacheTests {
    private func cached(_ path: String = "/**", _ policy: CachePolicy = CachePolicy()) throws -> Route {
        var route = try route("all", path)
        route.cache = policy
        return route
    }

    private func counting(_ head: @escaping @Sendable (ReceivedRequest, Int) -> String) async throws -> (
        Backend, Recorded<Void>
    ) {
        let count = Recorded<Void>()
        let backend = try await Backend { request in
            count.append(())
            let body = "answer \(count.all.count)"
            let head = head(request, count.all.count)
            let status = head.hasPrefix("HTTP/1.1") ? "" : "HTTP/1.1 200 OK\r\n"
            return [.send("\(status)\(head)Content-Length: \(body.utf8.count)\r\n\r\n\(body)")]
        }
        return (backend, count)
    }

    @Test func servesWhatIsFreshWithItsAge() async throws {
        let (backend, count) = try await counting { _, _ in "Cache-Control: max-age=60\r\nX-Own: 1\r\nETag: \"a\"\r\n" }
        try await withGateway(configuration(backend, routes: [try cached()])) { gateway in
            let first = try await gateway.get("/x")
            #expect(first?.value("cache-status") == "dovetail; fwd=uri-miss; fwd-status=200; stored")
            #expect(first?.value("age") == nil)
            let second = try await gateway.get("/x")
            #expect(second?.text == "answer 1")
            #expect(second?.value("cache-status")?.hasPrefix("dovetail; hit; ttl=") == true)
            #expect(second?.value("age") == "0")
            #expect(second?.value("x-own") == "1")
            #expect(second?.value("x-correlation-id") != first?.value("x-correlation-id"))
            let head = try await gateway.send("HEAD /x HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
            #expect(head?.value("content-length") == "8" && head?.body.isEmpty == true)
            let known = try await gateway.get("/x", fields: ["If-None-Match: \"b\", W/\"a\""])
            #expect(known?.status == 304)
            #expect(known?.body.isEmpty == true)
            #expect(count.all.count == 1)
            // Others are others: by host, by query, by what they must not have.
            #expect(try await gateway.get("/x?1")?.text == "answer 2")
            let other = try await gateway.send("GET /x HTTP/1.1\r\nHost: other\r\n\r\n")
            #expect(other?.text == "answer 3")
            #expect(try await gateway.get("/x", fields: ["Cache-Control: no-store"])?.text == "answer 4")
            #expect(try await gateway.get("/x", fields: ["Range: bytes=0-1"])?.text == "answer 5")
            #expect(try await gateway.get("/x", fields: ["Dovetail-After: main:1:7"])?.text == "answer 6")
            #expect(try await gateway.get("/y", fields: ["Cache-Control: only-if-cached"])?.status == 504)
            #expect(await gateway.gateway.metrics().cacheHits == 3)
        }
        await backend.stop()
    }

    /// An answer to http is none to https, or whom it sends to https is sent there for ever (RFC 9111 2); an unsafe request makes both stale.
    @Test func whatIsKeptIsOfOneScheme() async throws {
        let (backend, count) = try await counting { request, number in
            number == 1
                ? "HTTP/1.1 301 Moved\r\nLocation: https://gateway.test/x\r\nCache-Control: max-age=60\r\n"
                : "Cache-Control: max-age=60\r\n"
        }
        var settings = configuration(backend, routes: [try cached()])
        settings.trustedProxies = [try #require(AddressRange("127.0.0.0/8"))]
        try await withGateway(settings) { gateway in
            func ask(_ scheme: String) async throws -> ReceivedResponse? {
                try await gateway.get("/x", fields: ["X-Forwarded-Proto: \(scheme)"])
            }
            let first = try await ask("http")
            #expect(first?.status == 301)
            #expect(try await ask("https")?.text == "answer 2")
            #expect(try await ask("http")?.status == 301)
            #expect(try await ask("https")?.text == "answer 2")
            #expect(count.all.count == 2)
            _ = try await gateway.send("DELETE /x HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
            #expect(try await ask("https")?.text == "answer 4")
            #expect(try await ask("http")?.text == "answer 5")
            gateway.gateway.invalidate(path: "/x")
            #expect(try await ask("https")?.text == "answer 6")
            #expect(try await ask("http")?.text == "answer 7")
        }
        await backend.stop()
    }

    @Test func asksWhetherItStillHolds() async throws {
        let (backend, count) = try await counting { request, number in
            request.value("if-none-match") == "\"a\"" && number < 4
                ? "HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=0\r\nETag: \"a\"\r\nX: "
                : "Cache-Control: max-age=0\r\nETag: \"a\"\r\n"
        }
        try await withGateway(configuration(backend, routes: [try cached()])) { gateway in
            #expect(try await gateway.get("/x")?.text == "answer 1")
            let again = try await gateway.get("/x", fields: ["If-None-Match: \"mine\""])
            #expect(again?.status == 200 && again?.text == "answer 1")
            #expect(again?.value("cache-status") == "dovetail; hit; fwd=stale; fwd-status=304")
            #expect(backend.requests.all.last?.values("if-none-match") == ["\"a\""])
            #expect(try await gateway.get("/x", fields: ["If-None-Match: \"a\""])?.status == 304)
            let changed = try await gateway.get("/x")
            #expect(changed?.text == "answer 4")
            #expect(changed?.value("cache-status") == "dovetail; fwd=stale; fwd-status=200; stored")
            #expect(count.all.count == 4)
        }
        await backend.stop()
    }

    /// What the 304 says stands in place of what was said before, for those after it too (RFC 9111 4.3.4).
    @Test func whatA304SaysTakesThePlaceOfWhatWasSaidBefore() async throws {
        let (backend, _) = try await counting { request, number in
            request.value("if-none-match") != nil
                ? "HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=60\r\nETag: \"a\"\r\nx-OWN: \(number)\r\nContent-Type: a/b\r\nX: "
                : "Cache-Control: max-age=0\r\nETag: \"a\"\r\nX-Own: \(number)\r\nX-Other: \(number)\r\nContent-Type: c/d\r\n"
        }
        try await withGateway(configuration(backend, routes: [try cached()])) { gateway in
            _ = try await gateway.get("/x")
            for _ in 0..<2 {
                let answer = try await gateway.get("/x")
                #expect(answer?.text == "answer 1")
                #expect(answer?.values("x-own") == ["2"] && answer?.values("x-other") == ["1"])
                #expect(answer?.values("cache-control") == ["max-age=60"])
                #expect(answer?.values("content-type") == ["c/d"])
            }
            #expect(backend.requests.all.count == 2)
        }
        await backend.stop()
    }

    /// It holds for who has asked, and for nobody after.
    @Test(arguments: ["Cache-Control: no-store", "Cache-Control: private, max-age=60", "Set-Cookie: a=1"])
    func whatA304SaysMustNotBeKeptIsThrownAway(field: String) async throws {
        let (backend, _) = try await counting { request, _ in
            request.value("if-none-match") != nil
                ? "HTTP/1.1 304 Not Modified\r\n\(field)\r\nETag: \"a\"\r\nX: "
                : "Cache-Control: max-age=0\r\nETag: \"a\"\r\n"
        }
        try await withGateway(configuration(backend, routes: [try cached()])) { gateway in
            #expect(try await gateway.get("/x")?.text == "answer 1")
            let renewed = try await gateway.get("/x")
            #expect(renewed?.status == 200 && renewed?.text == "answer 1")
            #expect(await gateway.gateway.metrics().cachedAnswers == 0)
            let next = try await gateway.get("/x")
            #expect(next?.text == "answer 3")
            #expect(backend.requests.all.last?.value("if-none-match") == nil)
        }
        await backend.stop()
    }

    @Test func keepsWhatDependsOnARequestApart() async throws {
        let (backend, count) = try await counting { _, _ in
            "Cache-Control: max-age=60\r\nVary: Accept-Language, X-A\r\n"
        }
        try await withGateway(configuration(backend, routes: [try cached()])) { gateway in
            for (fields, text) in [
                (["Accept-Language: de"], "answer 1"), (["Accept-Language: en"], "answer 2"),
                (["accept-language: de"], "answer 1"), (["Accept-Language: en", "X-A: 1"], "answer 3"),
            ] {
                let answer = try await gateway.get("/x", fields: fields)
                #expect(answer?.text == text, "\(fields)")
            }
            #expect(count.all.count == 3)
        }
        await backend.stop()
    }

    /// A field that is nominated is not forwarded: what came back is not for those who send it.
    @Test func aFieldThatIsNotForwardedDoesNotNameAVariant() async throws {
        let (backend, _) = try await counting { request, _ in
            "Cache-Control: max-age=60\r\nVary: Accept-Language\r\nX-Language: \(request.value("accept-language") ?? "none")\r\n"
        }
        try await withGateway(configuration(backend, routes: [try cached()])) { gateway in
            _ = try await gateway.get("/x", fields: ["Accept-Language: fr", "Connection: accept-language"])
            let french = try await gateway.get("/x", fields: ["Accept-Language: fr"])
            #expect(french?.value("x-language") == "fr")
        }
        await backend.stop()
    }

    /// Asked for before a change and answered after it: what it says is over.
    @Test func whatWasAskedForBeforeAChangeIsNotKeptAfterIt() async throws {
        let gate = Gate()
        let count = Recorded<Void>()
        let backend = try await Backend { request in
            if request.line.hasPrefix("PUT") { return [.send("HTTP/1.1 204 No Content\r\n\r\n")] }
            count.append(())
            let body = "answer \(count.all.count)"
            let answer = BackendAction.send(
                "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
            guard count.all.count == 1 else { return [answer] }
            return [
                .after {
                    await gate.wait()
                    return [answer]
                }
            ]
        }
        try await withGateway(configuration(backend, routes: [try cached()])) { gateway in
            async let old = gateway.get("/x")
            await count.wait(for: 1)
            _ = try await gateway.send("PUT /x HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 0\r\n\r\n")
            gate.open()
            #expect(try await old?.text == "answer 1")
            #expect(try await gateway.get("/x")?.text == "answer 2")
        }
        await backend.stop()
    }

    @Test func anUnsafeRequestThrowsAway() async throws {
        let (backend, _) = try await counting { request, _ in
            request.line.hasPrefix("PUT /bad") ? "HTTP/1.1 400 No\r\n" : "Cache-Control: max-age=60\r\n"
        }
        try await withGateway(configuration(backend, routes: [try cached()])) { gateway in
            _ = try await gateway.get("/x?1")
            _ = try await gateway.get("/bad")
            _ = try await gateway.send("PUT /x HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 0\r\n\r\n")
            #expect(try await gateway.get("/x?1")?.text == "answer 4")
            _ = try await gateway.send("PUT /bad HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 0\r\n\r\n")
            #expect(try await gateway.get("/bad")?.text == "answer 2", "what was refused has changed nothing")
            gateway.gateway.invalidate(host: "gateway.test", path: "/bad")
            #expect(try await gateway.get("/bad")?.text == "answer 6")
        }
        await backend.stop()
    }

    @Test func manyWhoAskAtOnceAreOneRequest() async throws {
        let gate = Gate()
        let count = Recorded<Void>()
        let backend = try await Backend { request in
            count.append(())
            let control = request.line.contains("/private") ? "private" : "max-age=60"
            return [
                .after {
                    await gate.wait()
                    return [.send("HTTP/1.1 200 OK\r\nCache-Control: \(control)\r\nContent-Length: 4\r\n\r\nonce")]
                }
            ]
        }
        try await withGateway(configuration(backend, routes: [try cached()]), loops: 2) { gateway in
            try await withThrowingTaskGroup(of: ReceivedResponse?.self) { group in
                for _ in 0..<40 { group.addTask { try await gateway.get("/x") } }
                await count.wait(for: 1)
                try await Task.sleep(for: .milliseconds(200))
                gate.open()
                var collapsed = 0
                for try await response in group {
                    #expect(response?.text == "once")
                    if response?.value("cache-status")?.contains("collapsed") ?? false { collapsed += 1 }
                }
                #expect(count.all.count == 1)
                #expect(collapsed > 30)
            }
            // What is not kept is fetched by each, and not one after the other.
            try await withThrowingTaskGroup(of: ReceivedResponse?.self) { group in
                for _ in 0..<10 { group.addTask { try await gateway.get("/private") } }
                for try await response in group { #expect(response?.text == "once") }
                #expect(count.all.count == 11)
            }
        }
        await backend.stop()
    }

    @Test func whoWaitsForAFetchThatFailsGoesByItself() async throws {
        let count = Recorded<Void>()
        let gate = Gate()
        let backend = try await Backend { _ in
            count.append(())
            if count.all.count == 1 {
                return [
                    .after {
                        await gate.wait()
                        return [.close]
                    }
                ]
            }
            return [.send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\ngood")]
        }
        try await withGateway(
            configuration(backend, routes: [try cached()]) { upstream in upstream.retry = nil }
        ) { gateway in
            async let first = gateway.get("/x")
            await count.wait(for: 1)
            async let second = gateway.get("/x")
            try await Task.sleep(for: .milliseconds(100))
            gate.open()
            let statuses = (try await first?.status, try await second?.status)
            #expect(statuses == (502, 200))
        }
        await backend.stop()
    }

    @Test func servesStaleWhileOneAsksAndWhereTheUpstreamFails() async throws {
        let gate = Gate()
        let count = Recorded<Void>()
        let backend = try await Backend { request in
            count.append(())
            let number = count.all.count
            let fresh = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nanswer \(number)"
            if request.line.contains("/fails"), number > 1 {
                return [.send("HTTP/1.1 503 Down\r\nContent-Length: 4\r\n\r\ndown")]
            }
            guard request.line.contains("/slow"), number > 1 else { return [.send(fresh)] }
            return [
                .after {
                    await gate.wait()
                    return [.send(fresh)]
                }
            ]
        }
        let policy = CachePolicy(
            freshFor: .zero, staleWhileRevalidate: .seconds(60), staleIfError: .seconds(60))
        let configuration = configuration(backend, routes: [try cached("/**", policy)]) { $0.retry = nil }
        try await withGateway(configuration) { gateway in
            #expect(try await gateway.get("/slow")?.text == "answer 1")
            async let asking = gateway.get("/slow")
            await count.wait(for: 2)
            let meanwhile = try await gateway.get("/slow")
            #expect(meanwhile?.text == "answer 1")
            #expect(meanwhile?.value("cache-status")?.hasSuffix("detail=revalidating") == true)
            gate.open()
            #expect(try await asking?.text == "answer 2")
        }
        let failing = try await Backend { request in
            request.numberOnConnection == 1 && request.line.contains("/first")
                ? [.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")]
                : [.send("HTTP/1.1 503 Down\r\nContent-Length: 4\r\n\r\ndown")]
        }
        var broken = try keeping(failing, policy)
        broken.upstreams[0].retry = nil
        try await withGateway(broken) { gateway in
            #expect(try await gateway.get("/first")?.text == "good")
            let stale = try await gateway.get("/first")
            #expect(stale?.status == 200 && stale?.text == "good")
            #expect(stale?.value("cache-status")?.contains("stale-if-error") == true)
            await failing.stop()
            #expect(try await gateway.get("/first")?.text == "good", "also where nobody is there any more")
            #expect(try await gateway.get("/never")?.status != 200)
        }
        await backend.stop()
    }

    private func keeping(_ backend: Backend, _ policy: CachePolicy) throws -> GatewayConfiguration {
        GatewayConfiguration(
            listen: .init(port: 0), routes: [try cached("/**", policy)],
            upstreams: [Upstream(name: "u", servers: [.init(host: "127.0.0.1", port: backend.port)])],
            timeouts: .init(drain: .seconds(10)))
    }

    @Test func whatBreaksOffOrIsTooLargeIsNotKept() async throws {
        let count = Recorded<Void>()
        let backend = try await Backend { request in
            count.append(())
            let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n"
            if request.line.contains("/broken") { return [.send("\(head)Content-Length: 10\r\n\r\nhalf"), .close] }
            if request.line.contains("/chunked") {
                return [
                    .send(
                        "\(head)Transfer-Encoding: chunked\r\n\r\n40\r\n\(String(repeating: "x", count: 64))\r\n0\r\n\r\n"
                    )
                ]
            }
            return [.send("\(head)Content-Length: 64\r\n\r\n\(String(repeating: "x", count: 64))")]
        }
        var configuration = try keeping(backend, CachePolicy(maximumBodyBytes: 63))
        configuration.upstreams[0].retry = nil
        try await withGateway(configuration) { gateway in
            for path in ["/broken", "/chunked", "/declared"] {
                for _ in 0..<2 { _ = try await gateway.get(path) }
            }
            #expect(count.all.count == 6)
        }
        await backend.stop()
    }

    /// Whoever is known by a key of its own header, and not by `Authorization`, gets nobody else's answer either.
    @Test func whatAKnownCallerGetsIsNobodyElses() async throws {
        let count = Recorded<Void>()
        let backend = try await Backend { request in
            count.append(())
            let control = request.line.contains("/public") ? "public, max-age=60" : "max-age=60"
            let body = "answer \(count.all.count)"
            return [
                .send(
                    "HTTP/1.1 200 OK\r\nCache-Control: \(control)\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
            ]
        }
        var route = try cached()
        route.authentication = .named("partners")
        var configuration = try keeping(backend, CachePolicy())
        configuration.routes = [route]
        configuration.authenticators = [
            "partners": .apiKeys(
                header: "X-Key",
                [.init(subject: "a", secret: "key-of-a-0123"), .init(subject: "b", secret: "key-of-b-0123")])
        ]
        try await withGateway(configuration) { gateway in
            for (path, key, text) in [
                ("/own", "a", "answer 1"), ("/own", "b", "answer 2"), ("/own", "a", "answer 3"),
                ("/public", "a", "answer 4"), ("/public", "b", "answer 4"),
            ] {
                let answer = try await gateway.get(path, fields: ["X-Key: key-of-\(key)-0123"])
                #expect(answer?.text == text, "\(path) \(key)")
            }
        }
        await backend.stop()
    }

    @Test func answersOfHandlersInThisProcessAreKeptToo() async throws {
        struct Counting: RawHandler {
            let count = Recorded<Void>()
            func respond(to request: RawRequest) async -> RawResponse {
                count.append(())
                return RawResponse(
                    status: .ok, headers: [.cacheControl: "max-age=60", .contentType: "text/plain"],
                    body: .bytes(Array("answer \(count.all.count)".utf8)))
            }
        }
        let handler = Counting()
        var route = try cached()
        route.destination = .handler(handler)
        try await withGateway(GatewayConfiguration(listen: .init(port: 0), routes: [route])) { gateway in
            for _ in 0..<3 { #expect(try await gateway.get("/x")?.text == "answer 1") }
            _ = try await gateway.send("POST /x HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 0\r\n\r\n")
            #expect(try await gateway.get("/x")?.text == "answer 3")
            #expect(try await gateway.get("/x")?.value("content-type") == "text/plain")
        }
    }
}
