import DovetailCore
import Foundation
import Testing

@Suite struct Base64URLTests {
    @Test func whatIsWrittenIsTheStandardsTextWithoutPaddingAndIsReadBack() {
        var generator = SeededGenerator(seed: 64)
        for length in 0..<200 {
            let bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &generator) }
            let text = Base64URL.encode(bytes)
            let standard = Data(bytes).base64EncodedString().filter { $0 != "=" }
            #expect(text == String(standard.map { $0 == "+" ? "-" : $0 == "/" ? "_" : $0 }))
            #expect(Base64URL.decode(Array(text.utf8)[...]) == bytes)
        }
        // One value has one text.
        for bad in ["A", "AB", "AA=", "A+", "A/", "A A"] { #expect(Base64URL.decode(Array(bad.utf8)[...]) == nil) }
    }
}
