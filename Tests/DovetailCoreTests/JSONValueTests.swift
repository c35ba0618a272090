import DovetailCore
import Foundation
import Testing

@Suite struct JSONValueTests {
    let text = #"{"z":null,"a":[true,1,-2.5,"x"],"m":{"y":18446744073709551615,"b":{}},"e":1e2}"#

    @Test func readsAndWritesInOrder() throws {
        let value = try decoded(JSONValue.self, text)
        #expect(
            value == [
                "z": nil, "a": [true, 1, -2.5, "x"], "m": ["y": 18_446_744_073_709_551_615.0, "b": [:]], "e": 100,
            ])
        #expect(
            try encoded(value) == #"{"z":null,"a":[true,1,-2.5,"x"],"m":{"y":1.8446744073709552e+19,"b":{}},"e":100}"#)
        struct Box: Codable, Equatable { var value: JSONValue }
        #expect(try encoded(Box(value: value)) == #"{"value":"# + (try encoded(value)) + "}")
        #expect(try decoded(Box.self, #"{"value":[null]}"#) == Box(value: [nil]))
        #expect(try decoded(JSONValue.self, #"{"a":1,"b":2,"a":3}"#) == ["b": 2, "a": 3])
    }

    @Test func worksWithOtherCoders() throws {
        let value: JSONValue = ["a": [nil, true, 1, 2.5, "x"]]
        let data = try JSONEncoder().encode(value)
        #expect(try JSONDecoder().decode(JSONValue.self, from: data) == value)
    }

    @Test func membersAreSetInPlace() {
        var value: JSONValue = ["a": 1, "b": 2]
        value["a"] = 3
        value["c"] = "x"
        value["b"] = nil
        #expect(value == ["a": 3, "c": "x"])
        #expect(value["none"] == nil)
        #expect(value["c"]?.string == "x")
        #expect(JSONValue.array([1, 2])[1] == 2)
        #expect(JSONValue.array([1, 2])[2] == nil)
    }
}
