import DovetailCore
import Foundation
import Synchronization
import Testing

/// Decodes JSON text.
func decoded<T: Decodable>(_ type: T.Type, _ text: String, fields: [JSON.Field] = []) throws -> T {
    try JSON.decode(type, from: Array(text.utf8), fields: fields)
}

@Suite struct JSONDecodingTests {
    struct Line: Codable, Equatable {
        var productID: String
        var quantity: Int
    }

    struct Order: Codable, Equatable {
        var id: String
        var lines: [Line]
        var total: Int
        var note: String?
        var paid: Bool
        var rate: Double
        var placedAt: Date
    }

    let order = Order(
        id: "o-1", lines: [Line(productID: "p-1", quantity: 2), Line(productID: "p-2", quantity: 1)], total: 1299,
        note: nil, paid: true, rate: 0.19, placedAt: Date(timeIntervalSinceReferenceDate: 800_000_000.25))

    @Test func readsMembersInAnyOrder() throws {
        let members = [
            #""id":"o-1""#, #""lines":[{"quantity":2,"productID":"p-1"},{"productID":"p-2","quantity":1}]"#,
            #""total":1299"#, #""paid":true"#, #""rate":0.19"#, #""placedAt":"2026-05-09T06:13:20.25Z""#,
        ]
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<50 {
            let text = "{" + members.shuffled(using: &generator).joined(separator: " ,\n") + "}"
            #expect(try decoded(Order.self, text) == order)
        }
    }

    @Test func skipsUnknownMembersWhateverTheyHold() throws {
        let text = #"{"x":{"productID":"no","y":[1,{"quantity":9}]},"productID":"p","z":[[]],"quantity":3,"w":null}"#
        #expect(try decoded(Line.self, text) == Line(productID: "p", quantity: 3))
    }

    @Test func lastOfRepeatedMembersWins() throws {
        #expect(try decoded(Line.self, #"{"quantity":1,"productID":"a","quantity":2,"productID":"b"}"#).quantity == 2)
        #expect(try decoded(Line.self, #"{"quantity":1,"productID":"a","\u0071uantity":2}"#).quantity == 2)
        #expect(try decoded([String: Int].self, #"{"a":1,"a":2,"a":3,"b":4}"#) == ["a": 3, "b": 4])
        let many = (0..<300).map { "\"k\($0 % 100)\":\($0)" }.joined(separator: ",")
        let read = try decoded([String: Int].self, "{\(many)}")
        #expect(read.count == 100)
        #expect(read.allSatisfy { $0.value == 200 + (Int($0.key.dropFirst()) ?? -1) })
    }

    @Test func readsEscapedNamesAndStrings() throws {
        #expect(
            try decoded(Line.self, #"{"product\u0049D":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00","quantity":1}"#).productID
                == "\"\\/\u{8}\u{C}\n\r\t\u{E9}\u{1F600}")
        #expect(try decoded([String: Int].self, #"{"":1,"a\/b":2,"é":3}"#) == ["": 1, "a/b": 2, "é": 3])
    }

    @Test func readsIntegersExactlyAtTheirBounds() throws {
        func bounds<I: FixedWidthInteger & Codable & Sendable>(_ type: I.Type) throws {
            #expect(try decoded([I].self, "[\(I.min),\(I.max),0,-0]") == [.min, .max, 0, 0])
            #expect(try decoded(I.self, "\(I.max).000") == .max)
            let above = String("\(I.max)".dropLast()) + "9"
            #expect(throws: JSONError.self) { try decoded(I.self, above) }
            #expect(throws: JSONError.self) { try decoded(I.self, "\(I.min)0" == "00" ? "-1" : "\(I.min)0") }
        }
        try bounds(Int.self)
        try bounds(Int8.self)
        try bounds(Int16.self)
        try bounds(Int32.self)
        try bounds(Int64.self)
        try bounds(Int128.self)
        try bounds(UInt.self)
        try bounds(UInt8.self)
        try bounds(UInt16.self)
        try bounds(UInt32.self)
        try bounds(UInt64.self)
        try bounds(UInt128.self)
    }

    @Test func wholeNumbersAreIntegersHoweverWritten() throws {
        #expect(
            try decoded([Int].self, "[1.0,1e2,1E+2,100e-2,12.5e1,0e99,0.0e-99,-1.50e1]") == [
                1, 100, 100, 1, 125, 0, 0, -15,
            ])
        for text in ["1.5", "1e-1", "1e19", "1e999999999999", "0.1"] {
            #expect(throws: JSONError.self) { try decoded(Int.self, text) }
        }
    }

    @Test func readsTheNearestDouble() throws {
        var generator = SeededGenerator(seed: 3)
        for _ in 0..<20_000 {
            let value = Double(bitPattern: generator.next())
            guard value.isFinite else { continue }
            #expect(try decoded(Double.self, "\(value)").bitPattern == value.bitPattern)
        }
        for _ in 0..<20_000 {
            let text =
                "\(generator.next() % 1_000_000_000_000).\(generator.next() % 1_000_000)e\(Int(generator.next() % 40) - 20)"
            #expect(try decoded(Double.self, text) == Double(text))
            #expect(try decoded(Float.self, text) == Float(text))
        }
        #expect(try decoded(Double.self, "-0").sign == .minus)
        #expect(try decoded(Double.self, "1e-400") == 0)
        #expect(throws: JSONError.self) { try decoded(Double.self, "1e400") }
        #expect(throws: JSONError.self) { try decoded(Float.self, "1e39") }
    }

    @Test func readsTypesWithAFormOfTheirOwn() throws {
        struct All: Decodable {
            var data: Data
            var bytes: [UInt8]
            var list: [UInt8]
            var uuid: UUID
            var url: URL
            var decimal: Decimal
            var id: UniqueID
        }
        let all = try decoded(
            All.self,
            #"""
            {"data":"AQI\/","bytes":"AQI=","list":[1,2],"uuid":"0198c1b2-7A3F-7d21-9c44-1b2c3d4e5f60",
            "url":"https:\/\/example.org/a","decimal":12345678901234567890.0123456789,"id":"0198c1b2-7a3f-7d21-9c44-1b2c3d4e5f60"}
            """#)
        #expect(all.data == Data([1, 2, 63]))
        #expect(all.bytes == [1, 2])
        #expect(all.list == [1, 2])
        #expect(all.uuid == UUID(uuidString: "0198C1B2-7A3F-7D21-9C44-1B2C3D4E5F60"))
        #expect(all.url.absoluteString == "https://example.org/a")
        #expect(all.decimal == Decimal(string: "12345678901234567890.0123456789"))
        #expect(all.id.description == "0198c1b2-7a3f-7d21-9c44-1b2c3d4e5f60")
    }

    @Test func readsDictionariesByAllKindsOfKey() throws {
        enum Colour: String, Codable, CodingKeyRepresentable { case red, green }
        #expect(try decoded([Int: String].self, #"{"1":"a","-2":"b"}"#) == [1: "a", -2: "b"])
        #expect(try decoded([Colour: Int].self, #"{"red":1,"green":2}"#) == [.red: 1, .green: 2])
        #expect(try decoded([UUID: Int].self, #"["0198C1B2-7A3F-7D21-9C44-1B2C3D4E5F60",1]"#).count == 1)
        let big = Dictionary(uniqueKeysWithValues: (0..<20_000).map { ("key \($0)", $0) })
        #expect(try JSON.decode([String: Int].self, from: JSON.encode(big)) == big)
    }

    @Test func nestedContainersAndSuperDecodersReadInPlace() throws {
        class Animal: Decodable { var name: String }
        class Dog: Animal {
            var legs: Int
            var tags: [String] = []
            enum CodingKeys: String, CodingKey { case legs, more, list }
            required init(from decoder: any Decoder) throws {
                let container = try decoder.container(keyedBy: CodingKeys.self)
                let more = try container.nestedContainer(keyedBy: CodingKeys.self, forKey: .more)
                legs = try more.decode(Int.self, forKey: .legs)
                var list = try container.nestedUnkeyedContainer(forKey: .list)
                #expect(list.count == 3)
                #expect(try list.decodeNil())
                #expect(try !list.decodeNil())
                #expect(throws: (any Error).self) { try list.decode(Int.self) }
                while !list.isAtEnd { tags.append(try list.decode(String.self)) }
                #expect(list.currentIndex == 3)
                try super.init(from: container.superDecoder())
            }
        }
        let dog = try decoded(Dog.self, #"{"super":{"name":"Rex"},"list":[null,"a","b"],"more":{"legs":4}}"#)
        #expect(dog.name == "Rex")
        #expect(dog.legs == 4)
        #expect(dog.tags == ["a", "b"])
    }

    @Test func userCodeMayTryOneTypeAfterAnother() throws {
        struct Either: Decodable, Equatable {
            var text: String
            init(from decoder: any Decoder) throws {
                let container = try decoder.singleValueContainer()
                do { text = "\(try container.decode(Int.self))" } catch DecodingError.typeMismatch {
                    text = try container.decode(String.self)
                }
            }
        }
        #expect(try decoded([Either].self, #"[1,"a"]"#).map(\.text) == ["1", "a"])
    }

    @Test func enumsWithPayloadsSurviveTheRoundTrip() throws {
        enum Event: Codable, Equatable {
            case placed(id: String, lines: [Line])
            case paid(Int)
            case cancelled
        }
        let events: [Event] = [
            .placed(id: "o-1", lines: [Line(productID: "p-1", quantity: 2)]), .paid(1299), .cancelled,
        ]
        let text =
            #"[{"placed":{"id":"o-1","lines":[{"productID":"p-1","quantity":2}]}},{"paid":{"_0":1299}},{"cancelled":{}}]"#
        #expect(try encoded(events) == text)
        #expect(try decoded([Event].self, text) == events)
        let error = #expect(throws: JSONError.self) { try decoded([Event].self, #"[{"paid":{"_0":true}}]"#) }
        #expect(error?.pointer == "/0/paid/_0")
        #expect(throws: JSONError.self) { try decoded([Event].self, #"[{"paid":{"_0":1},"cancelled":{}}]"#) }
    }

    @Test func optionalsAreNullOrAbsent() throws {
        struct Loose: Codable, Equatable {
            var text: String?
            var list: [Int?]?
            var date: Date?
            var nested: [String: Int??]?
        }
        #expect(try decoded(Loose.self, "{}") == Loose())
        #expect(try decoded(Loose.self, #"{"text":null,"list":null,"date":null,"nested":null}"#) == Loose())
        let full = try decoded(Loose.self, #"{"text":"","list":[null,1],"date":"2001-01-01T00:00:00Z"}"#)
        #expect(full == Loose(text: "", list: [nil, 1], date: Date(timeIntervalSinceReferenceDate: 0)))
        #expect(try decoded(Int?.self, "null") == nil)
        #expect(try decoded([Int?].self, "[1,null]") == [1, nil])
    }

    @Test func costGrowsWithTheDocumentOnly() throws {
        // 20,000 members asked for in reverse, in order and not at all; quadratic would be minutes.
        let names = (0..<20_000).map { "member \($0)" }
        let text = "{" + names.map { "\"\($0)\":[{\"a\":1}]" }.joined(separator: ",") + "}"
        let start = ContinuousClock.now
        #expect(try decoded([String: [[String: Int]]].self, text).count == names.count)
        #expect(try decoded(JSONValue.self, text)["member 19999"] == [["a": 1]])
        #expect(throws: JSONError.self) { try decoded([String: [Int]].self, text) }
        #expect(try decoded(JSONValue.self, "[" + String(repeating: "[],", count: 200_000) + "[]]")[200_000] == [])
        #expect(ContinuousClock.now - start < .seconds(30))
    }

    @Test func listsTheMembersOfAnObject() throws {
        let bytes = Array(#" { "a" : 1 , "b\n":"x\"", "c":[1, 2], "d":{}, "a":true } "#.utf8)
        let members = try JSON.members(of: bytes)
        #expect(members.map(\.name) == ["b\n", "c", "d", "a"])
        #expect(
            members.map { String(decoding: bytes[$0.value], as: UTF8.self) } == [#""x\"""#, "[1, 2]", "{}", "true"])
        for text in ["[]", "1", "", "{"] { #expect(throws: JSONError.self) { try JSON.members(of: Array(text.utf8)) } }
    }

    @Test func nestingEndsAt512Levels() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: #"{"a":["#, count: depth / 2) + String(repeating: "]}", count: depth / 2)
        }
        let value = try decoded(JSONValue.self, nested(512))
        #expect(String(decoding: try JSON.encode(value), as: UTF8.self) == nested(512))
        #expect(throws: JSONError.self) { try decoded(JSONValue.self, nested(514)) }
        #expect(throws: JSONError.self) { try decoded(JSONValue.self, String(repeating: "[", count: 1_000_000)) }
        #expect(throws: JSONError.self) { try JSON.encode(JSONValue.array([value])) }
    }
}

@Suite struct JSONStackTests {
    struct Node: Codable {
        var id: Int
        var children: [Node]
    }

    /// Secondary threads have no more than half a megabyte on some systems. Measured for an object and an array in it:
    /// 1.1 KiB each way, against 1.7 to 2.4 for Foundation; unoptimised code takes three times as much.
    @Test func theDeepestDocumentFitsASmallStack() throws {
        let levels = 256
        let text =
            String(repeating: #"{"id":1,"children":["#, count: levels - 1) + #"{"id":1,"children":[]}"#
            + String(repeating: "]}", count: levels - 1)
        let written = Mutex<Result<[UInt8], any Error>?>(nil)
        let finished = DispatchSemaphore(value: 0)
        let thread = Thread {
            let result = Result { try JSON.encode(try decoded(Node.self, text)) }
            written.withLock { $0 = result }
            finished.signal()
        }
        #if DEBUG
            thread.stackSize = 2048 * 1024
        #else
            thread.stackSize = 512 * 1024
        #endif
        thread.start()
        finished.wait()
        let bytes = try #require(try written.withLock { try $0?.get() })
        #expect(String(decoding: bytes, as: UTF8.self) == text)
    }
}
