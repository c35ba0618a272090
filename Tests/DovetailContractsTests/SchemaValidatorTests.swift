import DovetailCore
import Testing

@testable import DovetailContracts

@Suite struct SchemaValidatorTests {
    private func pointers(_ schema: Schema, _ value: JSONValue) -> [String] {
        SchemaValidator(SchemaCatalog()).violations(of: schema, by: value).map(\.pointer)
    }

    private func words(_ schema: Schema, _ value: JSONValue) -> String? {
        SchemaValidator(SchemaCatalog()).violations(of: schema, by: value).first?.expected
    }

    @Test("Bounds hold at their edges", arguments: [1, 2, 99, 100] as [Int64])
    func within(_ number: Int64) {
        #expect(pointers(.integer(1...100), .integer(number)) == [])
    }

    @Test("What is beyond them is said with both bounds and what was found")
    func beyond() {
        #expect(words(.integer(1...100), 0) == "expected an integer from 1 to 100, found 0")
        #expect(words(.integer(1...100), 101) == "expected an integer from 1 to 100, found 101")
        #expect(words(.integer(1...100), "7") == "expected an integer from 1 to 100, found \"7\"")
        #expect(words(.integer(1...100), 1.5) == "expected an integer from 1 to 100, found 1.5")
        #expect(words(.string(length: 1...3), "four") == "expected a string of length from 1 to 3, found \"four\"")
        #expect(
            words(.string(length: 0...3), .string(String(repeating: "x", count: 99)))?.hasSuffix(
                "text of 99 characters") == true)
        #expect(words(.number(0...1), 1.01) != nil)
        #expect(words(.boolean, .null) == "expected true or false, found null")
        #expect(words(.boolean.orNull, 1) == "expected true or false or null, found 1")
        #expect(words(.choice(["a", 1]), "b") == "expected one of \"a\", 1, found \"b\"")
        #expect(pointers(.choice(["a"], isOpen: true), "b") == [])
        #expect(
            words(Schema(.array(.string, .init(maximum: 1))), ["a", "b"])
                == "expected an array with a count of at most 1, found an array of 2 elements")
    }

    @Test("A length counts Unicode scalars, as JSON Schema does")
    func scalars() {
        #expect(pointers(.string(length: 2...2), "e\u{301}") == [])
        #expect(pointers(.string(length: 1...1), "🎉") == [])
    }

    @Test("Pointers lead to the place, with their escapes")
    func pointers() {
        let line = Schema.object([.required("id", .string), .optional("a/b~c", .integer(1...2))])
        let schema = Schema.object([.required("lines", .array(of: line)), .optional("names", .map(of: .boolean))])
        #expect(
            pointers(schema, ["lines": [["id": "x"], ["id": 1, "a/b~c": 3]]]) == ["/lines/1/id", "/lines/1/a~1b~0c"])
        #expect(pointers(schema, [:]) == ["/lines"])
        #expect(pointers(schema, ["lines": [], "names": ["a": true, "b": 0]]) == ["/names/b"])
        #expect(pointers(schema, ["lines": [], "names": nil, "more": 1]) == [])
        #expect(pointers(schema, []) == [""])
    }

    @Test("Of several forms the one is meant that its constant names")
    func oneOf() {
        let schema = Schema.oneOf([
            .object([.required("kind", .constant("card")), .required("number", .string(length: 12...19))]),
            .object([.required("kind", .constant("invoice"))]),
        ])
        #expect(pointers(schema, ["kind": "invoice"]) == [])
        #expect(pointers(schema, ["kind": "card", "number": "1"]) == ["/number"])
        #expect(words(schema, ["kind": "cash"]) == "expected one of \"card\", \"invoice\", found \"cash\"")
        #expect(pointers(schema, [:]) == ["/kind"])
        #expect(pointers(schema, "card") == [""])
        let untagged = Schema.oneOf([.string, .integer(1...5)])
        #expect(pointers(untagged, 3) == [])
        #expect(pointers(untagged, 6) == [""])
        #expect(pointers(.oneOf([.number, .integer]), 1) == [""])
        #expect(pointers(.oneOf([]), 1) == [""])
    }

    @Test("No more violations are told than help")
    func bounded() {
        let many = JSONValue.array(Array(repeating: 0, count: 100_000))
        #expect(pointers(.array(of: .integer(1...2)), many).count == SchemaValidator.maximumViolations)
    }

    @Test("A value deeper than any reader takes is refused, not followed")
    func depth() {
        var value: JSONValue = 0
        var schema = Schema.integer
        for _ in 0..<600 {
            value = [value]
            schema = .array(of: schema)
        }
        #expect(pointers(schema, value).count == 1)
    }
}
