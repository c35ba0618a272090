import DovetailCore
import Foundation
import Testing

@Suite struct JSONErrorTests {
    enum Colour: String, Codable, CaseIterable { case red, green }
    enum Closed: String, Codable { case only }
    enum Level: Int, Codable, CaseIterable { case low = 1, high }

    struct Item: Codable {
        var id: String
        var size: UInt8
        var colour: Colour
        var level: Level?
        var closed: Closed?
        var items: [Item]?
        var at: Date?
        var key: UUID?
        var map: [String: Int]?
    }

    /// The error of reading `text` as an item.
    func error(_ text: String) -> JSONError? {
        #expect(throws: JSONError.self) { try decoded(Item.self, text) }
    }

    @Test(arguments: [
        (#"{"id":7,"size":1,"colour":"red"}"#, "/id", "a string", "7"),
        (#"{"size":1,"colour":"red"}"#, "/id", "a string", "nothing"),
        (#"{"id":null,"size":1,"colour":"red"}"#, "/id", "a string", "null"),
        (#"{"id":"","size":256,"colour":"red"}"#, "/size", "an integer from 0 to 255", "256"),
        (#"{"id":"","size":-1,"colour":"red"}"#, "/size", "an integer from 0 to 255", "-1"),
        (#"{"id":"","size":"1","colour":"red"}"#, "/size", "an integer from 0 to 255", "\"1\""),
        (#"{"id":"","colour":"red"}"#, "/size", "an integer from 0 to 255", "nothing"),
        (#"{"id":"","size":1,"colour":"blue"}"#, "/colour", #"one of "red", "green""#, "\"blue\""),
        (#"{"id":"","size":1,"colour":3}"#, "/colour", #"one of "red", "green""#, "3"),
        (#"{"id":"","size":1}"#, "/colour", #"one of "red", "green""#, "nothing"),
        (#"{"id":"","size":1,"colour":"red","level":3}"#, "/level", "one of 1, 2", "3"),
        (#"{"id":"","size":1,"colour":"red","items":{}}"#, "/items", "an array", "an object"),
        (#"{"id":"","size":1,"colour":"red","items":[1]}"#, "/items/0", "an object", "1"),
        (
            #"{"id":"","size":1,"colour":"red","at":"yesterday"}"#, "/at",
            "a date and time such as 2026-01-31T12:00:00Z", "\"yesterday\""
        ),
        (#"{"id":"","size":1,"colour":"red","key":"x"}"#, "/key", "a UUID", "\"x\""),
        (#"{"id":"","size":1,"colour":"red","map":{"a/b~c":true}}"#, "/map/a~1b~0c", "an integer", "true"),
        (
            #"{"id":"","size":1,"colour":"red","map":{"a":99999999999999999999}}"#, "/map/a",
            "an integer from -9223372036854775808 to 9223372036854775807", "99999999999999999999"
        ),
        (#"[]"#, "", "an object", "an array"),
        (
            #"{"id":"","size":1,"colour":"red","items":[{"id":"","size":1,"colour":"red"},{"id":"","size":1,"colour":"x"}]}"#,
            "/items/1/colour", #"one of "red", "green""#, "\"x\""
        ),
    ])
    func saysWhereAndWhatWasExpected(text: String, pointer: String, expected: String, found: String) {
        let error = error(text)
        #expect(error?.pointer == pointer)
        #expect(error?.expected == expected)
        #expect(error?.found == found)
    }

    @Test(arguments: [
        (#"{"a":[1,2,x]}"#, "/a/2", "a JSON value", "'x'"),
        (#"{"a":1,}"#, "", "a member's name in quotes", "'}'"),
        (#"{"a":01}"#, "/a", "a number as JSON writes it", "'0'"),
        (#"{"a" 1}"#, "/a", "':'", "'1'"),
        (#"[1] x"#, "", "the end of the document", "'x'"),
        (#"{"a":"b"#, "/a", "the string's closing quote", "the end of the text"),
        (#"["\ud800"]"#, "/0", "a valid escape", "'\\'"),
        ("[\"\u{1}\"]", "/0", "control characters escaped", "the byte 0x1"),
        ("", "", "a JSON value", "nothing"),
        ("   ", "", "a JSON value", "the end of the text"),
        (#"{"a":{"b":[{"c":nul}]}}"#, "/a/b/0/c", "'null'", "'n'"),
        ("[NaN]", "/0", "a JSON value", "'N'"),
    ])
    func saysWhereTheTextBreaksTheRules(text: String, pointer: String, expected: String, found: String) {
        let error = error(text)
        #expect(error?.pointer == pointer)
        #expect(error?.expected == expected)
        #expect(error?.found == found)
    }

    @Test func cutsShortWhatWasFound() {
        let error = error(#"{"id":"","size":"\#(String(repeating: "é", count: 10_000))"}"#)
        #expect(error.map { $0.found.count <= 40 } == true)
        #expect(error?.found.hasSuffix("…\"") == true)
    }

    @Test func refusalsOfUserCodeGetAPlace() {
        struct Refusal: Error {}
        struct Even: Decodable {
            init(from decoder: any Decoder) throws {
                let container = try decoder.singleValueContainer()
                let value = try container.decode(Int.self)
                if value == 13 { throw Refusal() }
                if value == 42 { throw Problem("teapot", status: 418) }
                guard value % 2 == 0 else {
                    throw DecodingError.dataCorruptedError(in: container, debugDescription: "expected an even number")
                }
            }
        }
        struct Box: Decodable { var all: [Even] }
        let odd = #expect(throws: JSONError.self) { try decoded(Box.self, #"{"all":[2,3]}"#) }
        #expect(odd == JSONError(pointer: "/all/1", expected: "an even number", found: "3", offset: 10))
        let refused = #expect(throws: JSONError.self) { try decoded(Box.self, #"{"all":[13]}"#) }
        #expect(refused?.pointer == "/all/0")
        #expect(refused?.expected.hasPrefix("a valid value") == true)
        #expect(throws: Problem("teapot", status: 418)) { try decoded(Box.self, #"{"all":[42]}"#) }
        let closed = #expect(throws: JSONError.self) { try decoded([Closed].self, #"["only","other"]"#) }
        #expect(closed?.pointer == "/1")
        #expect(closed?.found == "\"other\"")
    }

    @Test func endOfArrayHasThePointerOfTheMissingElement() {
        struct Pair: Decodable {
            init(from decoder: any Decoder) throws {
                var container = try decoder.unkeyedContainer()
                _ = try container.decode(Int.self)
                _ = try container.decode(String.self)
            }
        }
        let error = #expect(throws: JSONError.self) { try decoded([Pair].self, "[[1]]") }
        #expect(error?.description == "at '/0/1': expected a string, found nothing")
    }

    @Test func recoveringFromEveryElementOfALargeArrayIsCheap() throws {
        struct Lossy: Decodable {
            var colour: Colour?
            init(from decoder: any Decoder) throws { colour = try? Colour(from: decoder) }
        }
        let count = 50_000
        let text = "[" + Array(repeating: "\"mauve\"", count: count).joined(separator: ",") + "]"
        let start = ContinuousClock.now
        #expect(try decoded([Lossy].self, text).count == count)
        // Quadratic would be minutes.
        #expect(ContinuousClock.now - start < .seconds(20))
    }
}
