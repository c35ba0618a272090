/// A JSON value whose members keep their order: the form in which a JSON Schema is built.
enum SchemaValue: Sendable, Equatable {
    case string(String)
    case integer(Int)
    case boolean(Bool)
    case array([SchemaValue])
    case object([Member])

    struct Member: Sendable, Equatable {
        var name: String
        var value: SchemaValue
    }

    /// The value that this text says as a plain YAML scalar.
    init(scalar text: String) {
        switch text {
        case "true", "false": self = .boolean(text == "true")
        default: self = Int(text).map(SchemaValue.integer) ?? .string(text)
        }
    }

    /// This object with a member added at its end, or replaced.
    func with(_ name: String, _ value: SchemaValue) -> SchemaValue {
        guard case .object(var members) = self else { return self }
        members.removeAll { $0.name == name }
        members.append(Member(name: name, value: value))
        return .object(members)
    }

    subscript(name: String) -> SchemaValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    /// JSON text, indented by two spaces a level.
    func text(indentation: Int = 0) -> String {
        let inner = String(repeating: " ", count: indentation + 2)
        let outer = String(repeating: " ", count: indentation)
        switch self {
        case .string(let text): return SchemaValue.escaped(text)
        case .integer(let number): return "\(number)"
        case .boolean(let flag): return flag ? "true" : "false"
        case .array(let elements):
            return "[" + elements.map { $0.text(indentation: indentation) }.joined(separator: ", ") + "]"
        case .object(let members):
            if members.isEmpty { return "{}" }
            let lines = members.map {
                inner + SchemaValue.escaped($0.name) + ": " + $0.value.text(indentation: indentation + 2)
            }
            return "{\n" + lines.joined(separator: ",\n") + "\n" + outer + "}"
        }
    }

    private static func escaped(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case _ where scalar.value < 32:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

extension SchemaValue: ExpressibleByStringLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral
{
    init(stringLiteral value: String) { self = .string(value) }
    init(booleanLiteral value: Bool) { self = .boolean(value) }
    init(integerLiteral value: Int) { self = .integer(value) }
    init(arrayLiteral elements: SchemaValue...) { self = .array(elements) }
    init(dictionaryLiteral elements: (String, SchemaValue)...) {
        self = .object(elements.map { Member(name: $0.0, value: $0.1) })
    }
}
