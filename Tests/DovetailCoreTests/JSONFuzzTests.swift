import Foundation
import Testing

@testable import DovetailCore

/// Mutated documents: none may crash, and Foundation must say the same of each where its rules are ours.
@Suite struct JSONFuzzTests {
    static let seeds = [
        #"{"id":"o-1","lines":[{"productID":"p-1","quantity":2}],"total":1299,"note":null,"paid":true}"#,
        #"[1,-0.5,1e10,1E-2,123456789012345678,0,[[],{}],"",{"":{}}]"#,
        #"{"a\u00e9\ud83d\ude00":"\"\\\/\b\f\n\r\t","b":"é😀","c":[true,false,null]}"#,
        #" [ { "a" : { "b" : [ 1 , 2 , { "c" : "d" } ] } } , "text" , 1.25 ] "#,
        #"{"a":1,"a":2,"b":{"a":1,"b":2,"a":3}}"#,
        "\"\u{7F}\u{80}\u{7FF}\u{800}\u{FFFF}\u{10000}\u{10FFFF}\"",
    ].map { Array($0.utf8) }

    static let scraps: [[UInt8]] = [
        Array("\"".utf8), Array("\\".utf8), Array("{".utf8), Array("}".utf8), Array("[".utf8), Array("]".utf8),
        Array(",".utf8), Array(":".utf8), Array("0".utf8), Array("-".utf8), Array(".".utf8), Array("e".utf8),
        Array("\\u".utf8), Array("\\ud800".utf8), Array("\\udc00".utf8), Array("null".utf8), Array("1e5".utf8),
        Array(" ".utf8), [0xC0], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0x80], [0], [0x1F], [0xFF],
        [0xEF, 0xBB, 0xBF],
    ]

    static func mutated(_ generator: inout SeededGenerator) -> [UInt8] {
        var bytes = seeds.randomElement(using: &generator) ?? []
        for _ in 0..<Int.random(in: 1...3, using: &generator) {
            let place = Int.random(in: 0...bytes.count, using: &generator)
            let length = min(Int.random(in: 0...4, using: &generator), bytes.count - place)
            switch Int.random(in: 0..<5, using: &generator) {
            case 0: bytes.removeSubrange(place..<place + length)
            case 1: bytes.insert(contentsOf: scraps.randomElement(using: &generator) ?? [], at: place)
            case 2: bytes.replaceSubrange(place..<place + length, with: scraps.randomElement(using: &generator) ?? [])
            case 3: if place < bytes.count { bytes[place] = UInt8.random(in: .min ... .max, using: &generator) }
            default: bytes.insert(contentsOf: bytes[place..<place + length], at: place)
            }
        }
        return bytes
    }

    struct Order: Codable {
        struct Line: Codable {
            var productID: String
            var quantity: UInt8
        }
        var id: String
        var lines: [Line]
        var total: Int
        var note: Date?
        var paid: Bool
    }

    @Test(arguments: 0..<4)
    func noInputCrashesAndWhatIsReadIsWrittenBack(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<25_000 {
            let bytes = Self.mutated(&generator)
            _ = try? JSON.members(of: bytes)
            _ = try? JSON.decode(Order.self, from: bytes)
            _ = try? JSON.decode(
                Order.self, from: bytes, fields: [.init(name: "total", value: "1", origin: "query")])
            guard let value = try? JSON.decode(JSONValue.self, from: bytes) else { continue }
            let written = try JSON.encode(value)
            let again = try JSON.decode(JSONValue.self, from: written)
            guard again == value else {
                Issue.record(
                    "\(String(decoding: bytes, as: UTF8.self)) became \(String(decoding: written, as: UTF8.self))")
                return
            }
        }
    }

    @Test func agreesWithFoundation() throws {
        var generator = SeededGenerator(seed: 99)
        var accepted = 0
        var disputed: [String] = []
        let foundation = JSONDecoder()
        for _ in 0..<100_000 {
            let bytes = Self.mutated(&generator)
            let ours = Result { try JSON.decode(JSONValue.self, from: bytes) }
            guard Self.isComparable(bytes, ours) else { continue }
            var theirs = try? foundation.decode(JSONValue.self, from: Data(bytes))
            // Its decoder never looks at values that nobody reads; its serialization looks at all.
            if theirs != nil, (try? ours.get()) == nil,
                (try? JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed)) == nil
            {
                theirs = nil
            }
            if (try? ours.get()) != nil { accepted += 1 }
            if (try? ours.get()).map(Self.sorted) != theirs.map(Self.sorted) {
                disputed.append("\(String(decoding: bytes, as: UTF8.self)): \(ours), Foundation: \(theirs as Any)")
            }
        }
        #expect(accepted > 5_000)
        #expect(disputed.prefix(5).isEmpty)
    }

    /// Whether Foundation applies the rules that this codec does.
    ///
    /// Of members that share a name it takes the first; it reads other encodings than UTF-8, and allows a comma before `]` and `}`;
    /// a fraction behind more digits than a double holds it drops to make an integer.
    static func isComparable(_ bytes: [UInt8], _ ours: Result<JSONValue, any Error>) -> Bool {
        if case .failure(let error as JSONError) = ours {
            let isComma = error.found == "']'" && error.expected == "a JSON value" || error.found == "'}'"
            return !isComma && !bytes.contains(0) && bytes.first != 0xEF && bytes.first != 0xFF
        }
        guard let document = try? JSONDocument(bytes) else { return false }
        return !(0..<document.count).contains { index in
            let token = document.tokens[index]
            return token.flags.contains(.superseded) || token.flags.contains(.fractional) && token.length > 15
        }
    }

    static func sorted(_ value: JSONValue) -> JSONValue {
        switch value {
        case .array(let elements): .array(elements.map(sorted))
        case .object(let members):
            .object(members.map { .init($0.name, sorted($0.value)) }.sorted { $0.name < $1.name })
        default: value
        }
    }
}
