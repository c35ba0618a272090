/// A failure that a callee tells its caller, as problem details (RFC 9457).
///
/// A contract declares its problems as values; a handler throws one with a sentence about the case at hand, and the
/// caller, in process or over HTTP, catches the same value:
///
///     static let outOfStock = Problem("out-of-stock", status: 409)
///     throw outOfStock("product 7 has 2 left, 3 were asked for")
///     catch InventoryAPI.outOfStock { … }
///
/// Two problems are the same problem when their `type` is.
public struct Problem: ClassifiedFailure, Sendable, Equatable, CustomStringConvertible {
    /// One place in the input that breaks the contract.
    public struct Violation: Codable, Hashable, Sendable {
        /// Where: an RFC 6901 JSON pointer into the body, or `path:name`, `query:name`, `header:name`.
        public var pointer: String
        /// What would have been right there, and what was found.
        public var expected: String

        /// A violation at `pointer`.
        public init(pointer: String, expected: String) {
            self.pointer = pointer
            self.expected = expected
        }
    }

    /// The problem's identity: a URI reference, by convention a relative one such as `out-of-stock`.
    public var type: String
    /// The HTTP status.
    public var status: Int
    /// A short summary of the type, the same each time it occurs.
    public var title: String
    /// What happened this time. Safe to show to the caller.
    public var detail: String?
    /// Names this occurrence: the correlation id, by which an operator finds the logs.
    public var instance: String?
    /// The contract and its version that the answer speaks for, as `orders@1`.
    public var contract: String?
    /// What in the input breaks the contract.
    public var violations: [Violation]
    public var retryAfter: Duration?

    /// A problem of this type; the title is made from the type's words unless given.
    public init(_ type: String, status: Int, title: String? = nil, detail: String? = nil) {
        self.type = type
        self.status = status
        self.title = title ?? Problem.title(from: type)
        self.detail = detail
        self.violations = []
    }

    /// The same problem, said of the case at hand.
    public func callAsFunction(_ detail: String) -> Problem {
        var copy = self
        copy.detail = detail
        return copy
    }

    /// Matches in a `catch`: the error is a problem of the same type.
    public static func ~= (pattern: Problem, error: any Error) -> Bool {
        (error as? Problem)?.type == pattern.type
    }

    public var failureKind: FailureKind {
        switch status {
        case 429, 503: .transient
        case 408, 500, 502, 504: .inDoubt
        default: .permanent
        }
    }

    public var description: String {
        "\(status) \(type)" + (detail.map { ": \($0)" } ?? "")
    }

    private static func title(from type: String) -> String {
        let words = (type.split(separator: "/").last.map(String.init) ?? type).split(separator: "-").joined(
            separator: " ")
        return words.prefix(1).uppercased() + words.dropFirst()
    }
}

extension Problem: Codable {
    private enum CodingKeys: String, CodingKey {
        case type, title, status, detail, instance, contract, violations, retryAfter
    }

    /// Reads problem details; members that are missing, or not of their type, take RFC 9457's defaults (section 3.1).
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        func member<T: Decodable>(_ type: T.Type, _ key: CodingKeys) -> T? {
            (try? container.decodeIfPresent(type, forKey: key)) ?? nil
        }
        self.init(
            member(String.self, .type) ?? "about:blank", status: member(Int.self, .status) ?? 500,
            title: member(String.self, .title), detail: member(String.self, .detail))
        instance = member(String.self, .instance)
        contract = member(String.self, .contract)
        violations = member([Violation].self, .violations) ?? []
        // Held to what a duration can say, since the number is another program's; rounded, so that 1.2 stays 1.2.
        retryAfter = member(Double.self, .retryAfter).map {
            .nanoseconds(Int64((min(max($0, 0), 1e9) * 1e9).rounded()))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(type, forKey: .type)
        try container.encode(title, forKey: .title)
        try container.encode(status, forKey: .status)
        try container.encodeIfPresent(detail, forKey: .detail)
        try container.encodeIfPresent(instance, forKey: .instance)
        try container.encodeIfPresent(contract, forKey: .contract)
        if !violations.isEmpty { try container.encode(violations, forKey: .violations) }
        try container.encodeIfPresent(retryAfter?.inSeconds, forKey: .retryAfter)
    }
}
