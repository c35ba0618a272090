import DovetailCore
import Testing

@testable import DovetailModules

@Suite struct InputFingerprintTests {
    private func of(_ text: String, _ fields: [JSON.Field] = []) -> String? {
        InputFingerprint.of(Array(text.utf8), fields)
    }

    @Test("What is the same in meaning has the same fingerprint")
    func same() {
        #expect(of(#"{"a":1,"b":[1,2]}"#) == of(#" { "b" : [2.0, 1], "a": 1e0, "c": null } "#))
        #expect(of(#"{"id":7,"a":1}"#) == of(#"{"a":1}"#, [.init(name: "id", value: "7", origin: "path")]))
    }

    @Test("What is not, has another")
    func different() {
        let texts = [
            "{}", "[]", "null", #"{"a":1}"#, #"{"a":2}"#, #"{"b":1}"#, #"{"a":[1]}"#, #"{"a":[1,1]}"#,
            #"{"a":{"b":1}}"#,
            #"{"a":"b","c":"d"}"#, #"{"a":"d","c":"b"}"#, #"{"a":[[1],[2,3]]}"#, #"{"a":[[1,2],[3]]}"#, #"{"a":true}"#,
        ]
        #expect(Set(texts.map { of($0) }).count == texts.count)
        #expect(of("{") == nil)
    }

    @Test("The canonical form does not depend on the order of a dictionary")
    func canonical() throws {
        let names = (0..<50).map { "name\($0)" }
        let one = Dictionary(uniqueKeysWithValues: names.map { ($0, [$0: 1]) })
        let other = Dictionary(uniqueKeysWithValues: names.reversed().map { ($0, [$0: 1]) })
        #expect(try InputFingerprint.canonical(one) == InputFingerprint.canonical(other))
        #expect(try InputFingerprint.canonical([1, 2]) != InputFingerprint.canonical([2, 1]))
    }
}
