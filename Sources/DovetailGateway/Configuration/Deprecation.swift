/// What a route's answers say of its end: `Deprecation` (RFC 9745), `Sunset` (RFC 8594), and a link to what to do.
public struct Deprecation: Sendable, Hashable {
    /// From when it should not be used any more, in seconds since 1970; nil if that is not said.
    public var date: Int64?
    /// When it will be gone, in seconds since 1970; nil if that is not said.
    public var sunset: Int64?
    /// A page that tells more.
    public var link: String?

    /// A deprecation.
    public init(date: Int64? = nil, sunset: Int64? = nil, link: String? = nil) {
        self.date = date
        self.sunset = sunset
        self.link = link
    }

    /// What is wrong with it, in words; nil if nothing is.
    var flaw: String? {
        if date == nil, sunset == nil { return "without a date" }
        // RFC 9745 4.
        if let date, let sunset, sunset < date { return "later than it is gone" }
        if let link, !link.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x3C && $0 != 0x3E && $0 != 0x22 }) {
            return "with a link that is no URL"
        }
        return nil
    }

    /// The fields as lines.
    var lines: [UInt8] {
        var text = ""
        if let date { text += "deprecation: @\(date)\r\n" }
        if let sunset { text += "sunset: \(WallClock.imfDate(second: sunset))\r\n" }
        if let link { text += "link: <\(link)>; rel=\"\(date == nil ? "sunset" : "deprecation")\"\r\n" }
        return Array(text.utf8)
    }
}
