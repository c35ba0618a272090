/// A type whose fields have narrower bounds than their Swift types. Input is held to them before a handler sees it.
///
///     struct OrderLine: Wire, Constrained {
///         var productID: String, quantity: Int
///         static let constraints: Constraints = ["productID": .length(1...64), "quantity": .range(1...100)]
///     }
public protocol Constrained {
    /// The bounds, by the names of the fields in JSON.
    static var constraints: Constraints { get }
}

/// Bounds of fields, by name.
public struct Constraints: Sendable, ExpressibleByDictionaryLiteral {
    let fields: [(name: String, constraint: Constraint)]

    public init(dictionaryLiteral elements: (String, Constraint)...) {
        fields = elements.map { ($0, $1) }
    }
}

/// The bounds of one field.
public enum Constraint: Sendable {
    /// A whole number from one to the other.
    case range(ClosedRange<Int64>)
    /// A number from one to the other.
    case decimalRange(ClosedRange<Double>)
    /// Text of so many characters (Unicode scalars).
    case length(ClosedRange<Int>)
    /// So many elements.
    case count(ClosedRange<Int>)
}

extension Constraint {
    /// The schema within these bounds; nil if they do not fit what it is.
    func narrowing(_ schema: Schema) -> Schema? {
        var copy = schema
        switch (self, schema.shape) {
        case (.range(let range), .integer(let bounds, let format)):
            // A bound beyond the type's own would promise what cannot be decoded.
            guard bounds.contains(range.lowerBound), bounds.contains(range.upperBound) else { return nil }
            copy.shape = .integer(.init(range), format: format)
        case (.range(let range), .number):
            copy.shape = .number(.init(minimum: Double(range.lowerBound), maximum: Double(range.upperBound)))
        case (.decimalRange(let range), .number): copy.shape = .number(.init(range))
        case (.length(let range), .string(_, let format)): copy.shape = .string(.init(range), format: format)
        case (.count(let range), .array(let element, _)): copy.shape = .array(element, .init(range))
        case (.count(let range), .map(let value, _)): copy.shape = .map(value, .init(range))
        default: return nil
        }
        return copy
    }
}

extension Constraint: CustomStringConvertible {
    public var description: String {
        switch self {
        case .range(let range): "a range of whole numbers, \(range)"
        case .decimalRange(let range): "a range of numbers, \(range)"
        case .length(let range): "a length, \(range)"
        case .count(let range): "a count, \(range)"
        }
    }
}

extension Schema.Bounds {
    init(_ range: ClosedRange<Value>) {
        self.init(minimum: range.lowerBound, maximum: range.upperBound)
    }
}
