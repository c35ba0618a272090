import DovetailCore
import Foundation
import Testing

/// A value as JSON text.
func encoded<T: Encodable>(_ value: T) throws -> String {
    String(decoding: try JSON.encode(value), as: UTF8.self)
}

@Suite struct JSONEncodingTests {
    @Test func keepsTheOrderOfMembers() throws {
        struct Order: Encodable {
            var zebra = "z"
            var apple: Int? = nil
            var mango = [1, 2]
            var kiwi: Int? = 3
        }
        #expect(try encoded(Order()) == #"{"zebra":"z","mango":[1,2],"kiwi":3}"#)
    }

    @Test func writesScalars() throws {
        #expect(try encoded([true, false]) == "[true,false]")
        #expect(try encoded([Int64.min, .max, 0, -7]) == "[-9223372036854775808,9223372036854775807,0,-7]")
        #expect(try encoded([UInt64.max, 0, 10]) == "[18446744073709551615,0,10]")
        #expect(try encoded([Int128.min, .max]) == "[\(Int128.min),\(Int128.max)]")
        #expect(try encoded([Optional(1), nil]) == "[1,null]")
        #expect(try encoded("text") == "\"text\"")
        #expect(
            try encoded([1.0, -0.0, 0.1, 1e21, .leastNonzeroMagnitude, 123_456_789.125])
                == "[1,-0,0.1,1e+21,5e-324,123456789.125]")
        #expect(try encoded([Float(0.1), 16_777_216]) == "[0.1,16777216]")
    }

    @Test func escapesStrings() throws {
        #expect(
            try encoded("a\"b\\c/d\u{8}\u{C}\n\r\t\u{1}\u{7F}é😀")
                == #""a\"b\\c/d\b\f\n\r\t\u0001é😀""#.replacingOccurrences(of: "\\u0001", with: "\\u0001\u{7F}"))
        for length in 0..<40 {
            for place in 0..<length {
                var text = Array(repeating: "a", count: length)
                text[place] = "\""
                #expect(
                    try encoded(text.joined()) == "\"" + text.joined().replacingOccurrences(of: "\"", with: "\\\"")
                        + "\"")
            }
        }
    }

    @Test func doublesReadBackTheSame() throws {
        var generator = SeededGenerator(seed: 11)
        for _ in 0..<20_000 {
            let value = Double(bitPattern: generator.next())
            guard value.isFinite else { continue }
            #expect(try JSON.decode(Double.self, from: JSON.encode(value)).bitPattern == value.bitPattern)
            let single = Float(bitPattern: UInt32(truncatingIfNeeded: generator.next()))
            guard single.isFinite else { continue }
            #expect(try JSON.decode(Float.self, from: JSON.encode(single)).bitPattern == single.bitPattern)
        }
    }

    @Test func writesTypesInTheirJSONForm() throws {
        struct All: Encodable {
            var date = Date(timeIntervalSinceReferenceDate: 800_000_000)
            var data = Data([1, 2, 63])
            var bytes: [UInt8] = [1, 2]
            var uuid = UUID(uuidString: "0198c1b2-7a3f-7d21-9c44-1b2c3d4e5f60")
            var url = URL(string: "https://example.org/a?b=c")
            var decimal = Decimal(string: "12345678901234567890.0123456789")
            var id = UniqueID("0198c1b2-7a3f-7d21-9c44-1b2c3d4e5f60")
        }
        #expect(
            try encoded(All())
                == #"{"date":"2026-05-09T06:13:20Z","data":"AQI/","bytes":"AQI=","#
                + #""uuid":"0198C1B2-7A3F-7D21-9C44-1B2C3D4E5F60","url":"https://example.org/a?b=c","#
                + #""decimal":12345678901234567890.0123456789,"id":"0198c1b2-7a3f-7d21-9c44-1b2c3d4e5f60"}"#)
        #expect(try encoded(Date(timeIntervalSinceReferenceDate: 0)) == "\"2001-01-01T00:00:00Z\"")
        #expect(try encoded(["at": Date(timeIntervalSinceReferenceDate: 0.5)]) == #"{"at":"2001-01-01T00:00:00.500Z"}"#)
    }

    @Test func nestedContainersMayBeFilledInAnyOrder() throws {
        struct Odd: Encodable {
            enum Key: String, CodingKey { case first, second, third, fourth }
            func encode(to encoder: any Encoder) throws {
                var container = encoder.container(keyedBy: Key.self)
                var first = container.nestedContainer(keyedBy: Key.self, forKey: .first)
                var second = container.nestedUnkeyedContainer(forKey: .second)
                try container.encode(3, forKey: .third)
                let fourth = container.superEncoder(forKey: .fourth)
                try second.encode(2)
                try first.encode("one", forKey: .first)
                var deep = second.nestedUnkeyedContainer()
                try first.encode("two", forKey: .second)
                try second.encode(4)
                try deep.encode([5])
                _ = container.superEncoder()
                var again = encoder.container(keyedBy: Key.self)
                try again.encodeNil(forKey: .third)
                var single = fourth.singleValueContainer()
                try single.encode("last")
            }
        }
        let object =
            #"{"first":{"first":"one","second":"two"},"second":[2,[[5]],4],"third":3,"fourth":"last","super":{},"third":null}"#
        #expect(try encoded(Odd()) == object)
        #expect(try encoded([Odd(), Odd()]) == "[\(object),\(object)]")
    }

    @Test func typesThatEncodeNothingAreEmptyObjects() throws {
        struct Nothing: Encodable { func encode(to encoder: any Encoder) {} }
        struct Empty: Codable {}
        #expect(try encoded(Nothing()) == "{}")
        #expect(try encoded([Nothing()]) == "[{}]")
        #expect(try encoded(["a": Empty()]) == #"{"a":{}}"#)
        #expect(try encoded([Int]()) == "[]")
    }

    @Test func numbersThatJSONCannotSayAreErrorsWithAPlace() {
        struct Box: Encodable { var all: [[String: Double]] }
        let error = #expect(throws: JSONError.self) { try JSON.encode(Box(all: [[:], ["a/b": .nan]])) }
        #expect(error == JSONError(pointer: "/all/1/a~1b", expected: "a finite number", found: "nan"))
        #expect(throws: JSONError.self) { try JSON.encode(Double.infinity) }
        #expect(throws: JSONError.self) { try JSON.encode(-Float.infinity) }
        #expect(throws: JSONError.self) { try JSON.encode([Date.distantFuture.addingTimeInterval(1e15)]) }
        let nested = #expect(throws: JSONError.self) { try JSON.encode(["x": JSONValue.array([1, .number(.nan)])]) }
        #expect(nested?.pointer == "/x/1")
    }

    @Test func whatFailedAndWasCaughtLeavesNoTrace() throws {
        struct Careful: Encodable {
            enum Key: String, CodingKey { case a, b, c, d }
            func encode(to encoder: any Encoder) throws {
                var container = encoder.container(keyedBy: Key.self)
                try? container.encode(Double.nan, forKey: .a)
                try container.encode(1, forKey: .b)
                try? container.encode(["x": [1, Double.nan]], forKey: .c)
                try container.encode([2], forKey: .d)
            }
        }
        #expect(try encoded(Careful()) == #"{"b":1,"d":[2]}"#)
    }

    @Test func writingOutOfTurnIsAnError() {
        final class Leak: Encodable {
            enum Key: String, CodingKey { case a, b }
            struct Inner: Encodable {
                let write: () throws -> Void
                func encode(to encoder: any Encoder) throws {
                    _ = encoder.container(keyedBy: Key.self)
                    try write()
                }
            }
            func encode(to encoder: any Encoder) throws {
                let outer = encoder.container(keyedBy: Key.self)
                var container = outer
                try container.encode(
                    Inner {
                        var outer = outer
                        try outer.encode(1, forKey: .a)
                    }, forKey: .b)
            }
        }
        #expect(throws: JSONError.self) { try JSON.encode(Leak()) }
    }

    @Test func runawayNestingIsAnError() {
        struct Endless: Encodable {
            func encode(to encoder: any Encoder) throws {
                var container = encoder.unkeyedContainer()
                try container.encode(Endless())
            }
        }
        #expect(throws: JSONError.self) { try JSON.encode(Endless()) }
    }
}
