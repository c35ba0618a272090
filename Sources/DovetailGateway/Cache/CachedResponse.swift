import DovetailCore
import NIOCore

/// An answer that is kept, and how long it may be served.
struct CachedResponse: Sendable {
    /// Its fields, without those of its hop, as lines.
    var lines: [UInt8]
    var status: Int
    var reason: [UInt8]
    var body: ByteBuffer
    /// `ETag` and `Last-Modified`, to ask whether it still holds.
    var tag: [UInt8]?
    var lastModified: [UInt8]?
    /// The request's fields that it depends on, with what they said.
    var vary: [VaryingField]
    var times: Times

    struct VaryingField: Sendable, Equatable {
        var name: [UInt8]
        var value: [UInt8]
    }

    /// When it was fresh, in whole seconds.
    struct Times: Sendable, Equatable {
        var storedAt: MonotonicTime
        /// How old it was already.
        var initialAge: Int
        var lifetime: Int
        var staleWhileRevalidate: Int
        var staleIfError: Int
        /// It must not be served without asking, however fresh.
        var asksAlways: Bool
        /// Once it is stale it must not be served unasked, whatever a request would bear (RFC 9111 5.2.2.2).
        var mustRevalidate = false

        func age(at now: MonotonicTime) -> Int {
            initialAge + max(0, Int((now - storedAt).inSeconds))
        }
    }

    /// About how much memory it takes.
    var size: Int { lines.count + body.readableBytes + vary.reduce(0) { $0 + $1.name.count + $1.value.count } + 512 }

    /// What a request may be given of it.
    enum Use: Equatable {
        case fresh
        /// Too old, but good while another request asks, or while the upstream fails.
        case stale(whileRevalidating: Bool, onError: Bool)
    }

    /// What a request with this `Cache-Control` may be given of it (RFC 9111 4.2, 5.2.1).
    func use(_ request: CacheControl, at now: MonotonicTime) -> Use {
        let age = times.age(at: now)
        let left = times.lifetime - age
        let isWanted =
            !request.noCache && age <= request.maxAge ?? .max && (request.minFresh.map { left >= $0 } ?? true)
        let toleratesStale = !times.mustRevalidate && request.maxStale.map { -left <= $0 } ?? false
        if !times.asksAlways, isWanted, left > 0 || (toleratesStale && request.maxAge == nil) { return .fresh }
        if request.noCache || times.asksAlways { return .stale(whileRevalidating: false, onError: false) }
        return .stale(
            whileRevalidating: left > -times.staleWhileRevalidate && request.maxAge == nil,
            onError: left > -times.staleIfError)
    }
}

/// Whether and for how long an answer may be kept by a cache that many share (RFC 9111 3, 4.2.1).
struct Storability {
    var times: CachedResponse.Times
    var tag: [UInt8]?
    var lastModified: [UInt8]?
    /// Names of the request's fields that the answer depends on, in lower case.
    var vary: [[UInt8]]

    /// The statuses that are kept: their meaning is final, and a body of a part is none of them.
    private static let statuses: Set<Int> = [200, 203, 204, 300, 301, 308, 404, 410]

    /// Nil if the answer must not be kept, or it would be of no use.
    ///
    /// - Parameter isRenewal: Whether it says that what is kept still holds; what of that is of use is known already.
    init?(
        status: Int, fields: [HeaderField], bytes: UnsafeRawBufferPointer, policy: CachePolicy,
        isAuthorised: Bool, isRenewal: Bool = false, now: MonotonicTime, wallSeconds: Int64
    ) {
        let control = CacheControl(fields, in: bytes)
        guard Storability.statuses.contains(status), !control.noStore, !control.isPrivate else { return nil }
        // RFC 9111 3.5: what was asked for with credentials is nobody else's, unless it says so.
        if isAuthorised, !control.isPublic, control.sharedMaxAge == nil, !control.mustRevalidate { return nil }
        var (age, date, expires): (Int, Int64?, Int64?) = (0, nil, nil)
        var vary: [[UInt8]] = []
        for field in fields {
            let name = bytes[field.name]
            let value = bytes[field.value]
            switch field.known {
            case .vary:
                value.forEachListElement { vary.append($0.map(lowercased)) }
            case .date: date = HTTPDate.seconds(value)
            case .other:
                switch name.count {
                case 3 where name.equalsIgnoringCase("age"): age = value.decimal() ?? 0
                case 4 where name.equalsIgnoringCase("etag"): tag = Array(value)
                case 7 where name.equalsIgnoringCase("expires"):
                    // RFC 9111 5.3: what is no date is in the past.
                    expires = HTTPDate.seconds(value) ?? 0
                case 10 where name.equalsIgnoringCase("set-cookie"): return nil
                case 13 where name.equalsIgnoringCase("last-modified"): lastModified = Array(value)
                default: break
                }
            default: break
            }
        }
        guard !vary.contains([0x2A]) else { return nil }
        // What the gateway writes itself is not what the client said.
        for name in vary {
            switch name.withUnsafeBytes({ KnownField.of($0) }) {
            case .forwarded, .dovetail, .dovetailAfter, .traceparent, .correlationID: return nil
            default: break
            }
        }
        let apparent = date.map { max(0, wallSeconds - $0) } ?? 0
        let lifetime =
            control.sharedMaxAge ?? control.maxAge
            ?? expires.map { Int(max(0, $0 - (date ?? wallSeconds))) }
            ?? policy.freshFor.map { Int($0.inSeconds) } ?? (control.noCache ? 0 : nil)
        guard let lifetime else { return nil }
        let mustAsk = control.mustRevalidate || control.sharedMaxAge != nil
        times = CachedResponse.Times(
            storedAt: now, initialAge: max(age, Int(min(apparent, Int64(Int32.max)))), lifetime: lifetime,
            staleWhileRevalidate: mustAsk
                ? control.staleWhileRevalidate ?? 0
                : control.staleWhileRevalidate ?? Int(policy.staleWhileRevalidate.inSeconds),
            staleIfError: mustAsk
                ? control.staleIfError ?? 0 : control.staleIfError ?? Int(policy.staleIfError.inSeconds),
            asksAlways: control.noCache, mustRevalidate: mustAsk)
        self.vary = Array(Set(vary)).sorted { $0.lexicographicallyPrecedes($1) }
        let isUseful =
            times.lifetime > times.initialAge || tag != nil || lastModified != nil || times.staleIfError > 0
            || times.staleWhileRevalidate > 0
        guard isUseful || isRenewal else { return nil }
    }
}
