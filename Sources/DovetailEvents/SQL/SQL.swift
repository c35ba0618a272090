import DovetailContracts
import DovetailCore
import Foundation

/// A statement with its values: what is interpolated is bound, never spliced into the text.
///
///     "SELECT * FROM order_views WHERE user_id = \(userID)"
///
/// Keep to what SQLite and PostgreSQL share, and a module moves between them.
public struct SQL: Sendable, Hashable, ExpressibleByStringInterpolation {
    /// The text; a `?` stands for each value.
    public private(set) var text: String
    /// The values, in order.
    public private(set) var values: [SQLValue]
    /// Why a value cannot be bound; thrown when the statement is executed.
    private(set) var refusal: PersonalDataError?

    /// A statement without values.
    public init(stringLiteral text: String) {
        self.text = text
        self.values = []
    }

    /// The same values in another text, which has as many places for them.
    package func with(text: String) -> SQL {
        var copy = self
        copy.text = text
        return copy
    }

    /// A statement that is executed so often that its text is made once; a `?` stands for each value.
    package init(text: String, values: [SQLValue]) {
        self.text = text
        self.values = values
    }

    public init(stringInterpolation: StringInterpolation) {
        text = stringInterpolation.text
        values = stringInterpolation.values
        refusal = stringInterpolation.refusal
    }

    /// Gathers text and values.
    public struct StringInterpolation: StringInterpolationProtocol {
        var text = ""
        var values: [SQLValue] = []
        var refusal: PersonalDataError?

        public init(literalCapacity: Int, interpolationCount: Int) {
            text.reserveCapacity(literalCapacity + interpolationCount)
            values.reserveCapacity(interpolationCount)
        }

        public mutating func appendLiteral(_ literal: String) {
            text += literal
        }

        /// Binds a value.
        public mutating func appendInterpolation(_ value: some SQLConvertible) {
            text += "?"
            values.append(value.sqlValue)
        }

        /// Binds a value, or NULL.
        public mutating func appendInterpolation<Value: SQLConvertible>(_ value: Value?) {
            text += "?"
            values.append(value?.sqlValue ?? .null)
        }

        /// Splices another statement, with its values.
        public mutating func appendInterpolation(_ sql: SQL) {
            text += sql.text
            values += sql.values
            refusal = refusal ?? sql.refusal
        }
    }
}

/// A value as a database stores it.
public enum SQLValue: Sendable, Hashable {
    /// No value.
    case null
    /// A whole number, or a boolean as 0 and 1.
    case integer(Int64)
    /// A floating-point number.
    case real(Double)
    /// Text.
    case text(String)
    /// Bytes.
    case blob([UInt8])
}

/// What can be bound to a statement.
public protocol SQLConvertible {
    /// The value as a database stores it.
    var sqlValue: SQLValue { get }
}

extension String: SQLConvertible { public var sqlValue: SQLValue { .text(self) } }
extension Int: SQLConvertible { public var sqlValue: SQLValue { .integer(Int64(self)) } }
extension Int64: SQLConvertible { public var sqlValue: SQLValue { .integer(self) } }
extension Int32: SQLConvertible { public var sqlValue: SQLValue { .integer(Int64(self)) } }
extension Bool: SQLConvertible { public var sqlValue: SQLValue { .integer(self ? 1 : 0) } }
extension Double: SQLConvertible { public var sqlValue: SQLValue { .real(self) } }
extension UniqueID: SQLConvertible { public var sqlValue: SQLValue { .text(description) } }
extension [UInt8]: SQLConvertible { public var sqlValue: SQLValue { .blob(self) } }
extension SQLValue: SQLConvertible { public var sqlValue: SQLValue { self } }
/// A date is microseconds since 1970, a whole number, so that it sorts and both databases agree.
extension Date: SQLConvertible {
    public var sqlValue: SQLValue { .integer(microsecondsSince1970) }
}
extension Optional: SQLConvertible where Wrapped: SQLConvertible {
    public var sqlValue: SQLValue { self?.sqlValue ?? .null }
}
extension SQLConvertible where Self: RawRepresentable, RawValue: SQLConvertible {
    public var sqlValue: SQLValue { rawValue.sqlValue }
}
