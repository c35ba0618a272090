import DovetailCore
import DovetailPlatform
import Foundation
import Testing

/// Whatever the bytes are, reading ends soon, in a value or in an error.
@Suite struct HostileFileTests {
    @Test func refusesAliasesThatExplode() {
        var laughs = "a: &a [x,x,x,x,x,x,x,x,x]\n"
        for (name, of) in zip("bcdefghij", "abcdefghi") {
            laughs += "\(name): &\(name) [\(Array(repeating: "*\(of)", count: 9).joined(separator: ","))]\n"
        }
        #expect(issues(in: laughs) == ["platform.yaml: more than 30 aliases (*name) in one file"])
        var few = "a: &a [x,x,x]\n"
        for (name, of) in zip("bcdefghijk", "abcdefghij") { few += "\(name): &\(name) [*\(of),*\(of),*\(of)]\n" }
        #expect(!issues(in: few + "? *k\n: x\n").isEmpty)
    }

    @Test(arguments: ["[", "{a: ", "- ", "? ", "\"", "&a ", "!a "])
    func refusesDeepNesting(_ opening: String) {
        #expect(!issues(in: String(repeating: opening, count: 200_000)).isEmpty)
        #expect(!issues(in: String(repeating: opening, count: 40) + "x").isEmpty)
    }

    @Test func refusesDeepIndentation() {
        let text = (0..<400).map { String(repeating: " ", count: $0) + "a:" }.joined(separator: "\n")
        #expect(issues(in: text).contains { $0.hasSuffix("nested more than 32 levels deep") })
    }

    @Test func refusesWhatIsNoText() {
        #expect(
            issues(inBytes: Array("version: 1\nplatform: é".utf8) + [0xFF, 0xFE]) == [
                "platform.yaml:2:12: the file is not UTF-8 text"
            ])
        #expect(issues(inBytes: [0xC3]) == ["platform.yaml:1:1: the file is not UTF-8 text"])
        #expect(issues(inBytes: [0, 0, 0]).count == 1)
        #expect(
            issues(inBytes: Array("a: \u{1}".utf8)) == [
                "platform.yaml:1:4: not YAML: control characters are not allowed"
            ])
        #expect(issues(inBytes: []) == ["platform.yaml: the file is empty"])
    }

    @Test func refusesWhatIsTooLarge() {
        let bytes = [UInt8](repeating: 0x20, count: (4 << 20) + 1)
        #expect(issues(inBytes: bytes) == ["platform.yaml: the file has 4194305 bytes, more than 4 MiB"])
        let many = "a: [" + String(repeating: "x,", count: 300_000) + "]"
        #expect(issues(in: many).contains { $0.hasSuffix("more than 200000 values") })
    }

    @Test func tellsOnlySoManyIssues() {
        let text = minimal((0..<1000).map { "x\($0)x: {}" }.joined(separator: "\n"))
        let found = issues(in: text)
        #expect(found.count == 101)
        #expect(found.last == "platform.yaml: there are more issues than these 100")
    }

    @Test func readsAFileWithAByteOrderMark() throws {
        #expect(try parse("\u{FEFF}" + minimal()).platform == "shop")
    }

    @Test func saysThatAFileIsNotThere() {
        #expect {
            try PlatformConfiguration.load(file: "/no/such/platform.yaml")
        } throws: { error in
            "\(error)".hasPrefix("/no/such/platform.yaml: the file cannot be read: ")
        }
    }

    #if os(Linux)
        @Test func readsNoMoreThanItMust() {
            #expect {
                try PlatformConfiguration.load(file: "/dev/zero")
            } throws: { error in
                "\(error)" == "/dev/zero: the file has 4194305 bytes, more than 4 MiB"
            }
        }
    #endif

    @Test func survivesEveryCutOfTheSketch() {
        let bytes = Array(sketch.utf8)
        for length in stride(from: 0, to: bytes.count, by: 7) {
            _ = issues(inBytes: Array(bytes[..<length]))
        }
    }

    @Test(arguments: 0..<8)
    func survivesMutationsOfTheSketch(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let tokens = [
            "*a", "&a ", "? ", "- ", ": ", "[", "]", "{", "}", "\n", "  ", "\t", "\"", "'", "|\n", ">\n", "#", "${A}",
            "${", "!!str ", "<<: ", "%", "---\n", "...\n", "\u{0}", "\u{FEFF}", "😀", "null", "~", "9999999999999999999",
        ].map { Array($0.utf8) }
        let original = Array(sketch.utf8)
        for _ in 0..<250 {
            var bytes = original
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[place] = UInt8.random(in: .min ... .max, using: &random)
                case 1: bytes.insert(contentsOf: tokens.randomElement(using: &random) ?? [], at: place)
                case 2: bytes.removeSubrange(place..<min(bytes.count, place + 9))
                default:
                    let end = min(bytes.count, place + 40)
                    bytes.insert(contentsOf: bytes[place..<end], at: Int.random(in: 0..<bytes.count, using: &random))
                }
                if bytes.isEmpty { bytes = original }
            }
            for issue in issues(inBytes: bytes) { #expect(!issue.contains("\n")) }
        }
    }
}
