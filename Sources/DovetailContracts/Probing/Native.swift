import DovetailCore
import Foundation

/// Types whose form in JSON the codec settles, with a placeholder each for the two ways of trying a type out.
enum Native {
    private struct Form: Sendable {
        var schema: Schema
        var scarce: any Sendable
        var plenty: any Sendable
    }

    private static let forms: [ObjectIdentifier: Form] = {
        var forms: [ObjectIdentifier: Form] = [:]
        func add<T: Sendable>(_ type: T.Type, _ shape: Schema.Shape, _ scarce: T, _ plenty: T) {
            forms[ObjectIdentifier(type)] = Form(schema: Schema(shape), scarce: scarce, plenty: plenty)
        }
        func add<I: FixedWidthInteger & Sendable>(_ type: I.Type) {
            // A bound that 64 bits cannot say, or that no 64-bit number breaks, is left out.
            let minimum = I.min == 0 || I.bitWidth < 64 ? Int64(exactly: I.min) : nil
            let maximum = I.bitWidth < 64 ? Int64(exactly: I.max) : nil
            let format = I.bitWidth <= 64 ? (I.isSigned ? "int" : "uint") + "\(I.bitWidth)" : nil
            add(type, .integer(.init(minimum: minimum, maximum: maximum), format: format), 0, 1)
        }
        func text(_ format: String? = nil) -> Schema.Shape { .string(.init(), format: format) }
        add(Bool.self, .boolean, false, true)
        add(String.self, text(), "a", "b")
        add(Double.self, .number(.init()), 0, 1)
        add(Float.self, .number(.init()), 0, 1)
        add(Decimal.self, .number(.init()), 0, 1)
        add(Int.self)
        add(Int8.self)
        add(Int16.self)
        add(Int32.self)
        add(Int64.self)
        add(Int128.self)
        add(UInt.self)
        add(UInt8.self)
        add(UInt16.self)
        add(UInt32.self)
        add(UInt64.self)
        add(UInt128.self)
        add(Date.self, text("date-time"), Date(timeIntervalSince1970: 0), Date(timeIntervalSince1970: 1))
        add(Data.self, .base64, Data(), Data([1]))
        add([UInt8].self, .base64, [], [1])
        add(UniqueID.self, text("uuid"), .derived(from: "a"), .derived(from: "b"))
        add(
            UUID.self, text("uuid"), UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)),
            UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)))
        add(URL.self, text("uri"), URL(filePath: "/a"), URL(filePath: "/b"))
        add(JSONValue.self, .anything, .object([]), .object([]))
        return forms
    }()

    /// The type's schema; nil if it has no form of its own.
    static func schema(of type: any Any.Type) -> Schema? { forms[ObjectIdentifier(type)]?.schema }

    /// A value of the type; nil if it has no form of its own.
    static func placeholder<T>(_ type: T.Type, plenty: Bool) -> T? {
        let form = forms[ObjectIdentifier(type)]
        return (plenty ? form?.plenty : form?.scarce) as? T
    }

    /// The values of an enum that lists them, in JSON and in Swift; nil for other types, and if they are neither text nor whole numbers.
    static func cases(of type: any Any.Type) -> (schema: Schema, values: [Any])? {
        guard let type = type as? any (RawRepresentable & CaseIterable).Type else { return nil }
        return list(type)
    }

    private static func list<T: RawRepresentable & CaseIterable>(_ type: T.Type) -> (schema: Schema, values: [Any])? {
        let values = Array(type.allCases)
        let raw = values.compactMap { value -> JSONValue? in
            if let text = value.rawValue as? String { return .string(text) }
            return (value.rawValue as? any BinaryInteger).flatMap { Int64(exactly: $0) }.map { .integer($0) }
        }
        guard !values.isEmpty, raw.count == values.count else { return nil }
        return (.choice(raw), values)
    }
}
