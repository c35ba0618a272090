import DovetailCore
import Testing

@testable import DovetailEvents

@Suite struct TopicPatternTests {
    /// What a topic costs depends on its words, not on how many patterns there are.
    @Test(.timeLimit(.minutes(1))) func tenThousandPatterns() {
        var trie = TopicTrie<Int>()
        for number in 0..<10_000 {
            trie.insert(number, for: TopicPattern("tenant-\(number).order.*"))
            trie.insert(10_000 + number % 10, for: TopicPattern("#.x\(number % 10).#"))
        }
        let start = MonotonicTime.now
        for number in 0..<20_000 {
            #expect(trie.values(matching: "tenant-\(number % 10_000).order.placed") == [number % 10_000])
        }
        #expect(MonotonicTime.now - start < .seconds(20))
        #expect(trie.values(matching: "a.x3.b.x7") == [10_003, 10_007])
    }

    /// RabbitMQ's reference vectors: these of the patterns match the key, the others do not.
    static let patterns = [
        "a.b.c", "a.*.c", "a.#.b", "a.b.b", "#", "#.#", "#.b", "*.*", "a.*", "*.b.c", "a.#", "a.#.#", "b.b.c",
        "a.b.b.*", "a.b",
        "b.c", "", "*.*.*", "vodka.martini", "a.b.c.*", "*.#", "#.*.#", "*.#.#", "#.#.#", "*", "#.b.#",
    ]

    static let vectors: [(key: String, matching: Set<String>)] = [
        (
            "a.b.c",
            ["a.b.c", "a.*.c", "#", "#.#", "*.b.c", "a.#", "a.#.#", "*.*.*", "*.#", "#.*.#", "*.#.#", "#.#.#", "#.b.#"]
        ),
        (
            "a.b",
            [
                "a.#.b", "#", "#.#", "#.b", "*.*", "a.*", "a.#", "a.#.#", "a.b", "*.#", "#.*.#", "*.#.#", "#.#.#",
                "#.b.#",
            ]
        ),
        ("", ["#", "#.#", "#.#.#", ""]),
        (
            "a.b.b",
            ["a.#.b", "a.b.b", "#", "#.#", "#.b", "a.#", "a.#.#", "*.*.*", "*.#", "#.*.#", "*.#.#", "#.#.#", "#.b.#"]
        ),
        ("vodka.martini", ["#", "#.#", "*.*", "vodka.martini", "*.#", "#.*.#", "*.#.#", "#.#.#"]),
        ("one", ["#", "#.#", "*.#", "#.*.#", "*.#.#", "#.#.#", "*"]),
    ]

    @Test(arguments: vectors)
    func matchesAsRabbitMQDoes(_ key: String, _ matching: Set<String>) {
        for pattern in Self.patterns {
            #expect(TopicPattern(pattern).matches(key) == matching.contains(pattern), "\(pattern) on \(key)")
        }
    }

    @Test func findsAllPatternsAtOnce() {
        var trie = TopicTrie<String>()
        for pattern in Self.patterns { trie.insert(pattern, for: TopicPattern(pattern)) }
        for (key, matching) in Self.vectors { #expect(trie.values(matching: key) == matching, "\(key)") }
    }

    @Test func wildcardsDoNotTakeTheEnginesOwnFirstWord() {
        #expect(!TopicPattern("#").matches("$saga.started"))
        #expect(!TopicPattern("*.started").matches("$saga.started"))
        #expect(!TopicPattern("#.started").matches("$saga.started"))
        #expect(TopicPattern("$saga.*").matches("$saga.started"))
        #expect(TopicPattern("$saga.#").matches("$saga"))
        #expect(TopicPattern("a.#").matches("a.$saga"))
    }

    @Test func agreesWithAPlainMatcherOnRandomTopics() {
        func plain(_ pattern: ArraySlice<String>, _ words: ArraySlice<String>) -> Bool {
            guard let first = pattern.first else { return words.isEmpty }
            let rest = pattern.dropFirst()
            if first == "#" { return plain(rest, words) || (!words.isEmpty && plain(pattern, words.dropFirst())) }
            guard let word = words.first, first == "*" || first == word else { return false }
            return plain(rest, words.dropFirst())
        }
        let seed = UInt64.random(in: .min ... .max)
        var random = SeededGenerator(seed: seed)
        for _ in 0..<5000 {
            let pattern = (0..<Int.random(in: 1...5, using: &random)).map { _ in
                ["a", "b", "c", "*", "#"].randomElement(using: &random) ?? "a"
            }
            let words = (0..<Int.random(in: 1...5, using: &random)).map { _ in
                ["a", "b", "c"].randomElement(using: &random) ?? "a"
            }
            let matches = TopicPattern(pattern.joined(separator: ".")).matches(words.joined(separator: "."))
            #expect(matches == plain(pattern[...], words[...]), "\(pattern) on \(words), seed \(seed)")
        }
    }
}
