import DovetailCore
import Foundation
import Testing

@testable import DovetailContracts

/// Types whose schema does not follow from how they are decoded: each is refused with its name, the field, and what to do.
@Suite struct SchemaRefusalTests {
    private func refusal(_ type: any Decodable.Type) -> SchemaError? {
        var catalog = SchemaCatalog()
        do throws(SchemaError) {
            let schema = try catalog.schema(of: type)
            Issue.record("\(type) has a schema: \(schema)")
            return nil
        } catch {
            return error
        }
    }

    private struct Union: Decodable {
        enum CodingKeys: CodingKey { case a, b }
        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            if (try? container.decode(Int.self, forKey: .a)) == nil {
                _ = try container.decode(String.self, forKey: .b)
            }
        }
    }
    private struct Either: Decodable {
        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if (try? container.decode(Int.self)) == nil { _ = try container.decode(String.self) }
        }
    }
    private struct Lenient: Decodable {
        enum CodingKeys: CodingKey { case a, b }
        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            _ = (try? container.decode(Int.self, forKey: .a)) ?? 0
            _ = try container.decode(Int.self, forKey: .b)
        }
    }
    private struct ByValue: Decodable {
        var flag: Bool, more: Int?
        enum CodingKeys: CodingKey { case flag, more }
        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            flag = try container.decode(Bool.self, forKey: .flag)
            more = flag ? try container.decode(Int.self, forKey: .more) : nil
        }
    }
    private struct ByText: Decodable {
        var kind: String, more: Int?
        enum CodingKeys: CodingKey { case kind, more }
        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            kind = try container.decode(String.self, forKey: .kind)
            more = kind == "secret" ? try container.decode(Int.self, forKey: .more) : nil
        }
    }

    @Test("What is read depends on what was found")
    func dependent() {
        #expect(refusal(Union.self)?.field == "b")
        #expect(refusal(Either.self)?.message.contains("SchemaProviding") == true)
        #expect(refusal(Lenient.self)?.field == "b")
        #expect(refusal(ByValue.self)?.field == "more")
        #expect(refusal(ByText.self)?.field == "more")
    }

    private enum Payload: Wire { case card(number: String), invoice }
    private enum Plain: Wire { case one, two }
    private enum Unlisted: String, Wire { case one, two }
    private struct Holder: Wire { var fine: Int, payload: Payload }

    @Test("Enums with payloads, and enums that do not list their cases; the type within is the one named")
    func enums() {
        #expect(refusal(Payload.self)?.type.hasSuffix("Payload") == true)
        #expect(refusal(Plain.self) != nil)
        #expect(refusal(Unlisted.self)?.message.contains("CaseIterable") == true)
        #expect(refusal(Holder.self)?.type == "SchemaRefusalTests.Payload")
        #expect(refusal([String: [Holder?]].self)?.type == "SchemaRefusalTests.Payload")
    }

    private struct Pair: Decodable {
        init(from decoder: any Decoder) throws {
            var container = try decoder.unkeyedContainer()
            _ = try container.decode(Int.self)
        }
    }
    private struct Dynamic: Decodable {
        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: Name.self)
            for key in container.allKeys { _ = try container.decode(Int.self, forKey: key) }
        }
        struct Name: CodingKey {
            var stringValue: String
            var intValue: Int? { nil }
            init(stringValue: String) { self.stringValue = stringValue }
            init?(intValue: Int) { nil }
        }
    }
    private class Base: Decodable {}
    private final class Derived: Base {
        enum CodingKeys: CodingKey { case own }
        required init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            try super.init(from: container.superDecoder())
        }
    }
    private struct Swallowing: Decodable {
        init(from decoder: any Decoder) throws { _ = try? decoder.unkeyedContainer() }
    }

    @Test("Lists by element, members by their names, superclasses apart; even when the error is swallowed")
    func beyond() {
        for type in [Pair.self, Dynamic.self, Derived.self, Swallowing.self, ClosedRange<Int>.self]
            as [any Decodable.Type]
        {
            #expect(refusal(type)?.message.contains("SchemaProviding") == true)
        }
        #expect(refusal([UUID: Int].self)?.message.contains("CodingKeyRepresentable") == true)
    }

    private struct Positive: Decodable {
        struct TooSmall: Error {}
        init(from decoder: any Decoder) throws {
            if try decoder.singleValueContainer().decode(Int.self) < 1 { throw TooSmall() }
        }
    }
    private final class Endless: Wire {
        let next: Endless
        init(next: Endless) { self.next = next }
    }
    private struct TwoTypes: Decodable {
        enum CodingKeys: CodingKey { case a }
        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            _ = try container.decode(Int.self, forKey: .a)
            _ = try container.decode(String.self, forKey: .a)
        }
    }

    @Test("Types that check themselves, that never end, or read one member as two types")
    func hostile() {
        #expect(refusal(Positive.self)?.message.contains("TooSmall") == true)
        #expect(refusal(Endless.self)?.message.contains("without an end") == true)
        #expect(refusal(TwoTypes.self)?.field == "a")
    }

    private struct Misspelt: Wire, Constrained {
        var quantity: Int
        static let constraints: Constraints = ["quantty": .range(1...2)]
    }
    private struct Unfit: Wire, Constrained {
        var name: String
        static let constraints: Constraints = ["name": .range(1...2)]
    }
    private struct TooWide: Wire, Constrained {
        var small: Int8
        static let constraints: Constraints = ["small": .range(0...1000)]
    }
    private struct BadExample: Wire, SchemaProviding {
        var kind: String
        static let schema = Schema.object([.required("kind", .constant("a"))])
        static let example = BadExample(kind: "b")
    }

    @Test("Constraints and examples that do not fit")
    func written() {
        #expect(refusal(Misspelt.self)?.description.contains("quantty") == true)
        #expect(refusal(Misspelt.self)?.message.contains("there are quantity") == true)
        #expect(refusal(Unfit.self)?.field == "name")
        #expect(refusal(TooWide.self)?.field == "small")
        #expect(refusal(BadExample.self)?.message.contains("'/kind' expected \"a\", found \"b\"") == true)
    }

    @Test("A type that was refused leaves nothing behind in the catalog")
    func clean() throws {
        var catalog = SchemaCatalog()
        #expect(throws: SchemaError.self) { _ = try catalog.schema(of: Holder.self) }
        #expect(throws: SchemaError.self) { _ = try catalog.schema(of: Holder.self) }
        #expect(catalog.definitions.isEmpty)
    }
}
