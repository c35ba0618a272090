import DovetailCore

/// Holds JSON against a schema.
public struct SchemaValidator: Sendable {
    private let catalog: SchemaCatalog

    /// More violations than these help nobody.
    public static let maximumViolations = 20
    /// Deeper values are refused, whatever they hold.
    private static let maximumDepth = 512

    /// A validator of the schemas of a catalog.
    public init(_ catalog: SchemaCatalog) {
        self.catalog = catalog
    }

    /// Where a value breaks a schema, in the order of the value; empty if it fits. At most ``maximumViolations``.
    public func violations(of schema: Schema, by value: JSONValue) -> [Problem.Violation] {
        var findings = Findings()
        check(value, schema, "", &findings)
        return findings.violations
    }

    private struct Findings {
        var violations: [Problem.Violation] = []
        var depth = 0
        var isFull: Bool { violations.count >= maximumViolations }

        mutating func add(_ pointer: String, _ expected: String, _ found: JSONValue?) {
            guard !isFull else { return }
            violations.append(
                .init(pointer: pointer, expected: "expected \(expected), found \(SchemaValidator.shown(found))"))
        }
    }

    private func check(_ value: JSONValue, _ schema: Schema, _ pointer: String, _ findings: inout Findings) {
        guard !findings.isFull, !(schema.isNullable && value == .null) else { return }
        guard findings.depth < SchemaValidator.maximumDepth else {
            return findings.add(pointer, "at most \(SchemaValidator.maximumDepth) levels", nil)
        }
        findings.depth += 1
        defer { findings.depth -= 1 }
        switch (schema.shape, value) {
        case (.anything, _), (.boolean, .bool), (.type, _): break
        case (.integer(let bounds, _), .integer(let number)) where bounds.contains(number): break
        case (.integer(let bounds, _), .number(let number))
        where bounds.maximum == nil && number > 0x1p63 && number.isWhole:
            break
        case (.number(let bounds), .integer(let number)) where bounds.contains(Double(number)): break
        case (.number(let bounds), .number(let number)) where bounds.contains(number): break
        case (.string(let bounds, _), .string(let text)) where bounds.contains(text.unicodeScalars.count): break
        case (.base64, .string): break
        case (.choice(let values, let isOpen), _) where values.contains(value) || isOpen && value.isScalar: break
        case (.constant(let constant), _) where constant == value: break
        case (.array(let element, let bounds), .array(let elements)):
            if !bounds.contains(elements.count) { findings.add(pointer, schema.expectation, value) }
            for (place, one) in elements.enumerated() { check(one, element, "\(pointer)/\(place)", &findings) }
        case (.map(let inner, let bounds), .object(let members)):
            if !bounds.contains(members.count) { findings.add(pointer, schema.expectation, value) }
            for member in members {
                check(member.value, inner, JSONPointer.appending(member.name, to: pointer), &findings)
            }
        case (.object(let properties), .object):
            for property in properties {
                let place = JSONPointer.appending(property.name, to: pointer)
                if let member = value[property.name] {
                    check(member, property.schema, place, &findings)
                } else if property.isRequired {
                    findings.add(place, property.schema.expectation, nil)
                }
            }
        case (.oneOf(let schemas), _): check(value, oneOf: schemas, pointer, &findings)
        case (.reference, _): check(value, catalog.resolved(schema), pointer, &findings)
        default: findings.add(pointer, schema.expectation, value)
        }
    }

    private func check(_ value: JSONValue, oneOf schemas: [Schema], _ pointer: String, _ findings: inout Findings) {
        // A member that is a constant in each says which one is meant, and so what is wrong with it.
        if let (name, choices) = discriminator(of: schemas) {
            if let chosen = choices.first(where: { $0.constant == value[name] }) {
                return check(value, chosen.schema, pointer, &findings)
            }
            guard case .object = value else { return findings.add(pointer, "an object", value) }
            return findings.add(
                JSONPointer.appending(name, to: pointer), Schema.choice(choices.map(\.constant)).expectation,
                value[name])
        }
        let fitting = schemas.count { schema in
            var tried = Findings()
            tried.depth = findings.depth
            check(value, schema, pointer, &tried)
            return tried.violations.isEmpty
        }
        if fitting != 1 { findings.add(pointer, "exactly one of \(schemas.count) forms", value) }
    }

    private func discriminator(of schemas: [Schema]) -> (String, [(constant: JSONValue, schema: Schema)])? {
        guard let first = schemas.first else { return nil }
        for property in catalog.properties(of: first) {
            let choices = schemas.compactMap { schema -> (constant: JSONValue, schema: Schema)? in
                let shape = catalog.properties(of: schema).first { $0.name == property.name }?.schema.shape
                guard case .constant(let constant)? = shape else { return nil }
                return (constant, schema)
            }
            if choices.count == schemas.count { return (property.name, choices) }
        }
        return nil
    }

    /// What was found, short enough for a sentence.
    private static func shown(_ value: JSONValue?) -> String {
        switch value {
        case nil: return "nothing"
        case .array(let elements)?:
            return elements.count == 1 ? "an array of 1 element" : "an array of \(elements.count) elements"
        case .object(let members)?:
            return members.count == 1 ? "an object of 1 member" : "an object of \(members.count) members"
        case .string(let text)? where text.unicodeScalars.count > 40:
            return "text of \(text.unicodeScalars.count) characters"
        case let value?: return (try? JSON.encode(value)).map { String(decoding: $0, as: UTF8.self) } ?? "another value"
        }
    }
}

extension Schema {
    /// What it may be, in words.
    var expectation: String {
        let words: String
        switch shape {
        case .anything, .type: words = "a value"
        case .boolean: words = "true or false"
        case .integer(let bounds, _): words = "an integer" + bounds.words
        case .number(let bounds): words = "a number" + bounds.words
        case .string(let bounds, _): words = bounds == .init() ? "a string" : "a string of length" + bounds.words
        case .base64: words = "a string in base64"
        case .choice(let values, _): words = "one of " + values.prefix(20).map(\.literal).joined(separator: ", ")
        case .constant(let value): words = value.literal
        case .array(_, let bounds): words = bounds == .init() ? "an array" : "an array with a count" + bounds.words
        case .map(_, let bounds): words = bounds == .init() ? "an object" : "an object with a count" + bounds.words
        case .object, .oneOf, .reference: words = "an object"
        }
        return isNullable ? words + " or null" : words
    }
}

extension Schema.Bounds {
    /// ` from 1 to 100`, ` of at least 1`, or nothing.
    fileprivate var words: String {
        switch (minimum, maximum) {
        case (let minimum?, let maximum?): " from \(minimum) to \(maximum)"
        case (let minimum?, nil): " of at least \(minimum)"
        case (nil, let maximum?): " of at most \(maximum)"
        case (nil, nil): ""
        }
    }
}

extension JSONValue {
    fileprivate var isScalar: Bool {
        switch self {
        case .string, .integer, .number, .bool: true
        case .array, .object, .null: false
        }
    }

    fileprivate var literal: String { (try? JSON.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "" }
}

extension Double {
    fileprivate var isWhole: Bool { rounded() == self }
}
