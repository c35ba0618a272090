import DovetailCore
import Foundation
import Testing

@testable import DovetailContracts

/// Types whose schema follows from how they are decoded.
@Suite struct SchemaDerivationTests {
    private func json(_ type: any Decodable.Type) throws -> JSONValue {
        var document = try Schema.document(of: type)
        document["$schema"] = nil
        return document
    }

    private func definition(_ type: any Decodable.Type) throws -> JSONValue {
        let document = try json(type)
        let reference = try #require(document["$ref"]?.string)
        return try #require(document["$defs"]?[String(reference.dropFirst("#/$defs/".count))])
    }

    private struct Scalars: Wire {
        var yes: Bool, text: String, double: Double, float: Float, decimal: Decimal, int: Int, byte: UInt8,
            short: Int16,
            whole: UInt64, date: Date, data: Data, bytes: [UInt8], uuid: UUID, id: UniqueID, url: URL, any: JSONValue
    }

    @Test("Each scalar has the form that the codec gives it")
    func scalars() throws {
        let properties = try definition(Scalars.self)["properties"]
        let expected: JSONValue = [
            "yes": ["type": "boolean"], "text": ["type": "string"], "double": ["type": "number"],
            "float": ["type": "number"], "decimal": ["type": "number"],
            "int": ["type": "integer", "format": "int64"],
            "byte": ["type": "integer", "format": "uint8", "minimum": 0, "maximum": 255],
            "short": ["type": "integer", "format": "int16", "minimum": -32768, "maximum": 32767],
            "whole": ["type": "integer", "format": "uint64", "minimum": 0],
            "date": ["type": "string", "format": "date-time"],
            "data": ["type": "string", "contentEncoding": "base64"],
            "bytes": ["type": "string", "contentEncoding": "base64"],
            "uuid": ["type": "string", "format": "uuid"], "id": ["type": "string", "format": "uuid"],
            "url": ["type": "string", "format": "uri"], "any": [:],
        ]
        #expect(properties == expected)
    }

    private struct Optionals: Wire { var must: Int, may: Int?, list: [String]?, nested: Inner? }
    private struct Inner: Wire { var a: Int }

    @Test("What is optional may be missing, or null")
    func optionals() throws {
        let schema = try definition(Optionals.self)
        #expect(schema["required"] == ["must"])
        #expect(schema["properties"]?["may"] == ["type": ["integer", "null"], "format": "int64"])
        #expect(schema["properties"]?["list"] == ["type": ["array", "null"], "items": ["type": "string"]])
        #expect(
            schema["properties"]?["nested"]
                == ["oneOf": [["$ref": "#/$defs/SchemaDerivationTests.Inner"], ["type": "null"]]])
    }

    private struct Explicit: Decodable {
        enum CodingKeys: CodingKey { case list, nullable }
        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            _ = try container.decodeIfPresent([Int].self, forKey: .list) ?? []
            _ = try container.decode(Int?.self, forKey: .nullable)
        }
    }

    @Test("A hand-written initializer with a default is as good as a synthesized one; null may have to be said")
    func handWritten() throws {
        let schema = try definition(Explicit.self)
        #expect(schema["required"] == ["nullable"])
        #expect(schema["properties"]?["list"]?["type"] == ["array", "null"])
        #expect(schema["properties"]?["nullable"]?["type"] == ["integer", "null"])
    }

    private struct Collections: Wire {
        var list: [Inner], set: Set<Int>, byName: [String: Inner], byNumber: [Int: Bool],
            contiguous: ContiguousArray<Int>
        var deep: [[String: [Int?]]]
    }

    @Test("Lists, sets, and dictionaries by name")
    func collections() throws {
        let properties = try definition(Collections.self)["properties"]
        let inner: JSONValue = ["$ref": "#/$defs/SchemaDerivationTests.Inner"]
        #expect(properties?["list"] == ["type": "array", "items": inner])
        #expect(properties?["set"]?["items"]?["type"] == "integer")
        #expect(properties?["byName"] == ["type": "object", "additionalProperties": inner])
        #expect(properties?["byNumber"]?["additionalProperties"] == ["type": "boolean"])
        #expect(properties?["contiguous"]?["type"] == "array")
        #expect(properties?["deep"]?["items"]?["additionalProperties"]?["items"]?["type"] == ["integer", "null"])
    }

    private enum Colour: String, Wire, CaseIterable { case red, green }
    private enum Size: Int, Wire, CaseIterable { case small = 1, large = 9 }
    private struct Choices: Wire { var colour: Colour, size: Size?, all: [Colour] }

    @Test("Enums that list their cases")
    func choices() throws {
        let properties = try definition(Choices.self)["properties"]
        let colour: JSONValue = ["type": "string", "enum": ["red", "green"]]
        #expect(properties?["colour"] == colour)
        #expect(properties?["size"] == ["oneOf": [["type": "integer", "enum": [1, 9]], ["type": "null"]]])
        #expect(properties?["all"] == ["type": "array", "items": colour])
    }

    private struct Tree: Wire { var name: String, children: [Tree], parent: [String: Tree]? }
    private final class Chain: Wire {
        let next: Chain?
        init(next: Chain?) { self.next = next }
    }
    private struct Ping: Wire { var pong: [Pong] }
    private struct Pong: Wire { var ping: Ping? }

    @Test("Types that contain themselves, directly or by way of another, refer to themselves")
    func recursion() throws {
        let tree: JSONValue = ["$ref": "#/$defs/SchemaDerivationTests.Tree"]
        #expect(try definition(Tree.self)["properties"]?["children"] == ["type": "array", "items": tree])
        #expect(try definition(Chain.self)["properties"]?["next"]?["oneOf"] != nil)
        let document = try json(Ping.self)
        guard case .object(let definitions)? = document["$defs"] else { return #expect(Bool(false)) }
        #expect(definitions.map(\.name) == ["SchemaDerivationTests.Ping", "SchemaDerivationTests.Pong"])
    }

    private struct OrderID: Wire, RawRepresentable, Hashable, CodingKeyRepresentable {
        var rawValue: String
        init(rawValue: String) { self.rawValue = rawValue }
        init?<T: CodingKey>(codingKey: T) { self.init(rawValue: codingKey.stringValue) }
        var codingKey: any CodingKey { rawValue.codingKey }
    }
    private struct Wrapper<Value: Wire>: Wire {
        var value: Value
        init(from decoder: any Decoder) throws { value = try Value(from: decoder) }
        func encode(to encoder: any Encoder) throws { try value.encode(to: encoder) }
    }
    private struct Page<Item: Wire>: Wire { var items: [Item], next: String? }
    private struct Wrapped: Wire {
        var id: OrderID, byID: [OrderID: Int], number: Wrapper<Int>, maybe: Wrapper<Int?>, object: Wrapper<Inner>
        var page: Page<Inner>, pages: Page<Page<Int>>
    }

    @Test("Wrappers are what they wrap; generic types are named by what they hold")
    func wrappers() throws {
        let properties = try definition(Wrapped.self)["properties"]
        #expect(properties?["id"] == ["type": "string"])
        #expect(properties?["byID"]?["additionalProperties"]?["type"] == "integer")
        #expect(properties?["number"]?["type"] == "integer")
        #expect(properties?["maybe"]?["type"] == ["integer", "null"])
        #expect(properties?["object"]?["$ref"] != nil)
        #expect(properties?["page"]?["$ref"] != properties?["pages"]?["$ref"])
        let name = try #require(properties?["pages"]?["$ref"]?.string?.dropFirst("#/$defs/".count))
        #expect(name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0)) })
    }

    private struct Nested: Decodable {
        enum CodingKeys: CodingKey { case head, tail }
        enum HeadKeys: CodingKey { case a, b }
        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            let head = try container.nestedContainer(keyedBy: HeadKeys.self, forKey: .head)
            _ = try head.decode(Int.self, forKey: .a)
            _ = try head.decodeIfPresent(Int.self, forKey: .b)
            _ = try container.decode(String.self, forKey: .tail)
        }
    }
    private struct Flattened: Decodable {
        enum CodingKeys: CodingKey { case extra }
        init(from decoder: any Decoder) throws {
            _ = try Inner(from: decoder)
            _ = try decoder.container(keyedBy: CodingKeys.self).decode(Bool.self, forKey: .extra)
        }
    }
    private struct Renamed: Wire {
        var id: Int, name: String
        enum CodingKeys: String, CodingKey { case id = "order_id", name }
    }
    private struct Nothing: Wire {}

    @Test("Objects read in place, two types from one object, renamed members, none at all")
    func composition() throws {
        let head = try definition(Nested.self)["properties"]?["head"]
        #expect(head?["required"] == ["a"])
        #expect(head?["properties"]?["b"]?["type"] == ["integer", "null"])
        #expect(try definition(Flattened.self)["required"] == ["a", "extra"])
        #expect(try definition(Renamed.self)["required"] == ["order_id", "name"])
        #expect(try definition(Nothing.self) == ["type": "object"])
    }

    private enum Payment: Wire, Equatable, SchemaProviding {
        case card(number: String)
        case invoice

        private enum CodingKeys: CodingKey { case kind, number }

        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            self =
                try container.decode(String.self, forKey: .kind) == "card"
                ? .card(number: container.decode(String.self, forKey: .number)) : .invoice
        }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(self == .invoice ? "invoice" : "card", forKey: .kind)
            if case .card(let number) = self { try container.encode(number, forKey: .number) }
        }

        static let schema = Schema.oneOf([
            .object([.required("kind", .constant("card")), .required("number", .string(length: 12...19))]),
            .object([.required("kind", .constant("invoice")), .optional("to", .type(Inner.self))]),
        ])
        static let example = Payment.invoice
    }
    private struct Paid: Wire, Constrained {
        var payment: Payment, cents: Int, tags: [String], rate: Double?, code: String
        static let constraints: Constraints = [
            "cents": .range(1...1_000_000), "tags": .count(0...3), "rate": .decimalRange(0...1), "code": .length(2...4),
        ]
    }

    @Test("Written schemas stand in for derived ones, constraints narrow them")
    func written() throws {
        let document = try json(Paid.self)
        let paid = document["$defs"]?["SchemaDerivationTests.Paid"]?["properties"]
        #expect(paid?["cents"] == ["type": "integer", "format": "int64", "minimum": 1, "maximum": 1_000_000])
        #expect(paid?["tags"]?["maxItems"] == 3)
        #expect(paid?["rate"]?["maximum"] == 1.0)
        #expect(paid?["rate"]?["type"] == ["number", "null"])
        #expect(paid?["code"]?["minLength"] == 2)
        let payment = document["$defs"]?["SchemaDerivationTests.Payment"]
        #expect(payment?["oneOf"]?[0]?["properties"]?["kind"] == ["const": "card"])
        #expect(document["$defs"]?["SchemaDerivationTests.Inner"] != nil)
        var catalog = SchemaCatalog()
        _ = try catalog.schema(of: Inner.self)
        #expect(!catalog.hasRules)
        _ = try catalog.schema(of: [Paid?].self)
        #expect(catalog.hasRules)
    }

    @Test("What a derived schema describes is what the type decodes")
    func agreement() throws {
        try agrees(Optionals.self)
        try agrees(Choices.self)
        try agrees(Tree.self)
        try agrees(Renamed.self)
        try agrees(Scalars.self)
        try agrees(Wrapped.self)
    }

    private func agrees(_ type: (some Wire).Type) throws {
        var catalog = SchemaCatalog()
        let schema = try catalog.schema(of: type)
        for plenty in [true, false] {
            let value = try Placeholders(plenty: plenty).value(type)
            let written = try JSON.decode(JSONValue.self, from: JSON.encode(value))
            #expect(SchemaValidator(catalog).violations(of: schema, by: written) == [], "\(type)")
        }
    }
}
