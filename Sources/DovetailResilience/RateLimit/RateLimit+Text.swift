import DovetailCore

extension RateLimit: CustomStringConvertible {
    /// A limit written as `100/s`, `5/min`, `1000/h`, `30/10s`, or with a burst: `100/s burst 20`.
    ///
    /// Units: `ms`, `s`, `min` (or `m`), `h`, `d`.
    ///
    /// - Parameters:
    ///   - text: The limit.
    ///   - burst: The burst, where it is written apart from the rate.
    public init(parsing text: some StringProtocol, burst: Int? = nil) throws(RateLimitSyntaxError) {
        let words = text.split(separator: " ")
        let written = words.count == 3 && words[1] == "burst" ? Int(words[2]) : nil
        let sides = words.first?.split(separator: "/", omittingEmptySubsequences: false) ?? []
        guard words.count == 1 || written != nil, sides.count == 2, let count = Int(sides[0]),
            let period = RateLimit.period(sides[1])
        else { throw RateLimitSyntaxError(text: String(text), reason: RateLimitSyntaxError.form) }
        guard let limit = RateLimit(checking: count, per: period, burst: burst ?? written ?? count) else {
            throw RateLimitSyntaxError(text: String(text), reason: RateLimitSyntaxError.bounds)
        }
        self = limit
    }

    private static func period(_ text: some StringProtocol) -> Duration? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let number = digits.isEmpty ? 1 : Int64(digits), number <= 1_000_000_000 else { return nil }
        return switch text.dropFirst(digits.count) {
        case "ms": .milliseconds(number)
        case "s", "sec", "second": .seconds(number)
        case "m", "min", "minute": .seconds(number * 60)
        case "h", "hour": .seconds(number * 3_600)
        case "d", "day": .seconds(number * 86_400)
        default: nil
        }
    }

    public var description: String {
        let units: [(Int64, String)] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"), (1, "ms")]
        let milliseconds = period.wholeNanoseconds / 1_000_000
        let (size, unit) = units.first { milliseconds >= $0.0 && milliseconds % $0.0 == 0 } ?? (1, "ms")
        let number = milliseconds / size
        return "\(count)/\(number == 1 ? "" : "\(number)")\(unit)" + (burst == count ? "" : " burst \(burst)")
    }
}

/// A text that is not a rate limit.
public struct RateLimitSyntaxError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What was read.
    public let text: String
    /// What is wrong with it and what would be right.
    public let reason: String

    static let bounds = "count, period and burst must be above zero, and the period a year at most"
    static let form = "write a count and a period (100/s, 5/min, 1000/h) and, if wanted, a burst (100/s burst 20)"

    public var description: String { "'\(text)' is not a rate limit: \(reason)" }
}
