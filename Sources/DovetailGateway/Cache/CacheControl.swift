/// What `Cache-Control` says (RFC 9111 5.2). A number that is none counts as zero: better asked again than served old.
struct CacheControl: Equatable {
    var noStore = false
    var noCache = false
    var isPublic = false
    var isPrivate = false
    var mustRevalidate = false
    var onlyIfCached = false
    var noTransform = false
    var maxAge: Int?
    var sharedMaxAge: Int?
    var minFresh: Int?
    /// `max-stale` without a number is any.
    var maxStale: Int?
    var staleWhileRevalidate: Int?
    var staleIfError: Int?

    /// Adds what a field's value says.
    mutating func add(_ value: UnsafeRawBufferPointer) {
        value.forEachListElement { element in
            let equals = element.firstIndex(of: 0x3D)
            let name = UnsafeRawBufferPointer(rebasing: element[..<(equals ?? element.count)])
            let seconds = equals.map { CacheControl.seconds(UnsafeRawBufferPointer(rebasing: element[($0 + 1)...])) }
            switch name.text.lowercased() {
            case "no-store": noStore = true
            // With field names it forbids those fields only; the whole answer is safe too.
            case "no-cache": noCache = true
            case "public": isPublic = true
            case "private": isPrivate = true
            case "must-revalidate", "proxy-revalidate": mustRevalidate = true
            case "only-if-cached": onlyIfCached = true
            case "max-age": maxAge = min(maxAge ?? .max, seconds ?? 0)
            case "s-maxage": sharedMaxAge = min(sharedMaxAge ?? .max, seconds ?? 0)
            case "min-fresh": minFresh = seconds ?? 0
            case "max-stale": maxStale = seconds ?? .max
            case "stale-while-revalidate": staleWhileRevalidate = seconds ?? 0
            case "stale-if-error": staleIfError = seconds ?? 0
            default: break
            }
        }
    }

    /// A delta-seconds, quoted or not; what overflows is as good as for ever (RFC 9111 1.2.2).
    private static func seconds(_ text: UnsafeRawBufferPointer) -> Int {
        var digits = text
        if text.count >= 2, text.first == 0x22, text.last == 0x22 {
            digits = UnsafeRawBufferPointer(rebasing: text[1..<(text.count - 1)])
        }
        guard !digits.isEmpty, digits.allSatisfy({ $0 &- 0x30 < 10 }) else { return 0 }
        return min(digits.decimal() ?? Int(Int32.max), Int(Int32.max))
    }

    /// What the fields of a head say.
    init(_ fields: [HeaderField], in bytes: UnsafeRawBufferPointer) {
        for field in fields where field.known == .other && bytes[field.name].equalsIgnoringCase("cache-control") {
            add(bytes[field.value])
        }
    }

    init(_ text: String = "") {
        Array(text.utf8).withUnsafeBytes { add($0) }
    }
}
